/** The portrait picker: choose, upload (button, paste), delete. */

import { Adapt } from "./adapt.js";
import { read, request, resolve } from "./api.js";
import { debounce } from "./timing.js";

/** Arrow keys walk through the group; the avatar changes when they rest. */
const SETTLE_MS = 350;

export class Portraits {
  #list = [];

  /**
   * @param {HTMLElement} root
   * @param {{choose: (portrait: object) => void, toasts: import("./toasts.js").Toasts}} options
   */
  constructor(root, { choose, toasts }) {
    this.root = root;
    this.grid = root.querySelector(".portrait-grid");
    this.template = root.querySelector("template");
    this.file = root.querySelector("input[type=file]");
    this.caption = root.querySelector(".chosen-name");
    this.toasts = toasts;
    this.choose = choose;
    this.adapt = new Adapt(root.querySelector(".adapt"), toasts);
    const settle = debounce((portrait) => choose(portrait), SETTLE_MS);
    this.grid.addEventListener("change", ({ target }) => {
      const portrait = this.byId(target.value);
      this.#mark(portrait);
      settle(portrait);
    });
    this.grid.addEventListener("keydown", (event) => this.#onKey(event));
    this.file.addEventListener("change", () => {
      for (const file of this.file.files) this.upload(file);
      this.file.value = "";
    });
    root.querySelector("#upload").addEventListener("click", () => this.file.click());
    this.#acceptPaste();
  }

  byId(id) {
    return this.#list.find((p) => p.id === id);
  }

  get first() {
    return this.#list[0];
  }

  /** Fetch the list. @throws {import("./api.js").Problem} */
  async load() {
    this.#list = (await read("v1/portraits")).map(whole);
    this.grid.replaceChildren(...this.#list.map((p) => this.#tile(p)));
  }

  focus() {
    (this.grid.querySelector("input:checked") ?? this.grid.querySelector("input"))?.focus();
  }

  /** Show which portrait is on stage. */
  show(id) {
    const portrait = this.byId(id);
    if (!portrait) return;
    this.#input(id).checked = true;
    this.#reveal(id);
    this.#mark(portrait);
  }

  /** @param {File} file */
  async upload(file) {
    const preview = URL.createObjectURL(file);
    const name = file.name.replace(/\.[^.]*$/, "") || "Portrait";
    const tile = this.#tile({ id: "", name: `Adding ${name}`, thumbnail: preview });
    tile.classList.add("busy");
    tile.querySelector("input").disabled = true;
    this.grid.append(tile);
    tile.scrollIntoView({ block: "nearest" });
    const body = new FormData();
    body.append("file", file);
    body.append("name", name);
    try {
      const made = await (await request("POST", "v1/portraits", { body })).json();
      this.#added(whole({ name, builtin: false, warnings: [], ...made }));
    } catch (error) {
      this.toasts.error(error);
    } finally {
      tile.remove();
      URL.revokeObjectURL(preview);
    }
  }

  #added(portrait) {
    if (!this.byId(portrait.id)) {
      this.#list.push(portrait);
      this.grid.append(this.#tile(portrait));
    }
    this.show(portrait.id);
    for (const warning of portrait.warnings ?? []) this.toasts.notice(warning);
    this.choose(this.byId(portrait.id));
  }

  async #remove(portrait) {
    if (!(await this.#confirm(portrait))) return;
    const wasChosen = this.#input(portrait.id)?.checked;
    try {
      await request("DELETE", `v1/portraits/${portrait.id}`);
    } catch (error) {
      if (error.status !== 404) return this.toasts.error(error);
    }
    this.#list = this.#list.filter((p) => p !== portrait);
    this.#input(portrait.id)?.closest(".portrait").remove();
    const next = wasChosen ? this.first : null;
    if (next) {
      this.show(next.id);
      this.choose(next);
    }
    (this.grid.querySelector("input:checked") ?? this.root.querySelector("#upload")).focus();
  }

  #confirm(portrait) {
    const dialog = document.querySelector("#confirm");
    dialog.querySelector("#confirm-text").textContent =
      `“${portrait.name}” will be removed from this server.`;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((done) => {
      dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
    });
  }

  /** Scroll the grid, and nothing but the grid, to a tile. */
  #reveal(id) {
    const tile = this.#input(id).closest(".portrait");
    const grid = tile.closest(".portraits");
    const above = tile.offsetTop;
    const below = above + tile.offsetHeight;
    const hidden = above < grid.scrollTop || below > grid.scrollTop + grid.clientHeight;
    if (hidden) grid.scrollTop = above - grid.clientHeight / 2;
  }

  #input(id) {
    return this.grid.querySelector(`input[value="${CSS.escape(id)}"]`);
  }

  #mark(portrait) {
    this.caption.textContent = portrait.name;
    this.adapt.show(portrait);
  }

  #tile(portrait) {
    const tile = this.template.content.firstElementChild.cloneNode(true);
    const input = tile.querySelector("input");
    const img = tile.querySelector("img");
    const remove = tile.querySelector("button");
    input.value = portrait.id;
    input.setAttribute("aria-label", portrait.name);
    if (portrait.id) input.dataset.testid = `portrait-${portrait.id}`;
    tile.title = portrait.name;
    img.src = portrait.thumbnail;
    if (portrait.builtin || !portrait.id) remove.remove();
    else {
      remove.setAttribute("aria-label", `Delete ${portrait.name}`);
      remove.dataset.testid = `delete-${portrait.id}`;
      remove.addEventListener("click", () => this.#remove(portrait));
    }
    return tile;
  }

  #onKey(event) {
    if (event.key !== "Delete" || event.target.type !== "radio") return;
    const portrait = this.byId(event.target.value);
    if (portrait && !portrait.builtin) this.#remove(portrait);
  }

  #acceptPaste() {
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      const image = files.find((f) => f.type.startsWith("image/"));
      if (!image) return;
      event.preventDefault();
      this.upload(image);
    });
  }
}

/** A portrait with a thumbnail whose address is whole. */
function whole(portrait) {
  const thumbnail = portrait.thumbnail ?? `v1/portraits/${portrait.id}/thumbnail`;
  return { ...portrait, thumbnail: resolve(thumbnail).href };
}
