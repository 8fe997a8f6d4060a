// A photo of a phone made small enough to be sent from a cellar, and without where and when it was taken.

const LONGEST_PX = 1600;
const QUALITY = 0.85;

/** A photo as JPEG with at most 1,600 pixels on its longer side. Drawing it anew leaves its metadata behind. */
export async function smallerPhoto(file) {
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_PX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
