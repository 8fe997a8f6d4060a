// People: who they are, what they see.

import { get, send } from "../api.js";
import { fill, h } from "../dom.js";
import { label, t } from "../i18n.js";
import { form, openDialog, rowButton, secret } from "../parts/dialog.js";
import { into, loading, toast } from "../parts/states.js";
import { user as me } from "../session.js";

const ROLES = ["manager", "committee", "viewer", "bureau", "water_office", "admin"];
const BOUND = ["manager", "committee", "viewer"];

/** #/users: everybody, for administrators. */
export function users({ signal }) {
  const place = h("div");
  const ask = () => Promise.all([get("/users", {}, signal), get("/sites", {}, signal)]);
  const load = () => into(place, ask, ([people, sites]) => table(people.items, sites.items, load), loading(5));
  load();
  return { title: t("users.title"), node: h("div", { class: "records" }, h("h1", { tabindex: "-1" }, t("users.title")), h("p", { class: "lead" }, t("users.lead")), place) };
}

function table(people, sites, reload) {
  const names = new Map(sites.map((site) => [site.name, label(site.label)]));
  const heads = ["name", "role", "sites", "contacts", "state"].map((key) => h("th", { scope: "col" }, t(`users.${key}`)));
  return [
    h("p", {}, h("button", { type: "button", class: "button button-main", data: { testid: "add-user" }, on: { click: () => add(sites, reload) } }, t("users.add"))),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("users.title") },
      h("table", { class: "table" },
        h("thead", {}, h("tr", {}, heads, h("th", { scope: "col" }, h("span", { class: "spoken" }, t("users.act"))))),
        h("tbody", {}, people.map((one) => row(one, names, sites, reload))))),
  ];
}

function row(one, names, sites, reload) {
  const seen = BOUND.includes(one.role) ? one.sites.map((site) => names.get(site) ?? site).join("、") || "–" : t("account.all_sites");
  return h("tr", { data: { testid: "user-row", user: one.name } },
    h("th", { scope: "row" }, one.name), h("td", {}, t(`role.${one.role}`)), h("td", {}, seen), h("td", {}, String(one.contacts)),
    h("td", {}, t(one.disabled ? "users.disabled" : "users.enabled")),
    h("td", { class: "row-buttons" }, rowButton(t("form.change"), one.name, () => change(one, sites, reload)), rowButton(t("users.new_password"), one.name, () => renew(one))));
}

function fields(one, sites) {
  return [
    { key: "role", label: t("users.role"), type: "select", value: one.role ?? "manager", options: ROLES.map((role) => [role, t(`role.${role}`)]) },
    { key: "sites", label: t("users.sites_of"), type: "checks", value: one.sites ?? [], options: sites.map((site) => [site.name, label(site.label)]) },
    { key: "language", label: t("users.language"), type: "select", value: one.language ?? "zh", options: [["zh", "中文"], ["en", "English"]] },
  ];
}

function add(sites, reload) {
  openDialog(t("users.add"), (close) => {
    const place = h("div");
    const submit = async (values) => {
      const answer = await send("POST", "/users", values);
      fill(place, secret(t("users.password_of", { name: answer.user.name }), answer.password, close));
      reload();
    };
    const name = { key: "name", label: t("users.name"), required: true, maxlength: 64, hint: t("users.name_hint") };
    return fill(place, form({ fields: [name, ...fields({}, sites)], button: t("users.add"), cancel: close, submit }));
  });
}

function change(one, sites, reload) {
  const own = one.name === me().name;
  const disabled = { key: "disabled", label: t("users.disable"), type: "check", value: one.disabled };
  openDialog(one.name, (close) => form({
    fields: own ? fields(one, sites) : [...fields(one, sites), disabled], button: t("form.save"), cancel: close,
    submit: async (values) => {
      await send("PATCH", `/users/${encodeURIComponent(one.name)}`, values);
      toast(t("form.saved"));
      close();
      reload();
    },
  }));
}

function renew(one) {
  openDialog(t("users.new_password"), (close) => {
    const place = h("div");
    const submit = async () => {
      const answer = await send("POST", `/users/${encodeURIComponent(one.name)}/password`);
      fill(place, secret(t("users.password_of", { name: one.name }), answer.password, close));
    };
    return fill(place, form({ fields: [], button: t("users.make_password", { name: one.name }), cancel: close, submit }));
  });
}
