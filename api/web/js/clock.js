// The clock of the data: the server's time, which a demonstration runs faster than the wall.

let shownMs = Date.now();
let atMs = performance.now();
let speed = 1;

/** Take over the server's clock. */
export function setClock(clock) {
  shownMs = Date.parse(clock.now);
  atMs = performance.now();
  speed = clock.speed;
}

/** The time of the data now, in milliseconds since 1970. */
export function now() {
  return shownMs + (performance.now() - atMs) * speed;
}

/** How many seconds of the data pass in one of the wall. */
export function clockSpeed() {
  return speed;
}

/** A period of refreshing: seconds of the wall, shorter where the data run faster. */
export function refreshMs(seconds, leastSeconds = 4) {
  return 1000 * (speed > 1 ? Math.max(leastSeconds, Math.min(seconds, 4 * leastSeconds, (60 * seconds) / speed)) : seconds);
}
