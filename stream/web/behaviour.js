/** What the eyes mean: the states, and instructions in plain words. */

const EXAMPLES = [
  "look slightly left, then nod",
  "raise your left eyebrow",
  "blink twice",
  "look up for 2 seconds",
];

export class BehaviourPanel {
  #labels = [];

  /**
   * @param {HTMLElement} root
   * @param {(fields: {label?: string, instruction?: string, eyes?: number}) => Promise<Error | null>} behave
   * @param {import("./toasts.js").Toasts} toasts
   */
  constructor(root, behave, toasts) {
    this.behave = behave;
    this.toasts = toasts;
    this.chips = root.querySelector(".chips");
    this.template = root.querySelector("template.chip-template");
    this.about = root.querySelector("#label-about");
    this.form = root.querySelector("#instruction-form");
    this.input = root.querySelector("#instruction");
    this.result = root.querySelector("#instruction-result");
    this.active = root.querySelector("#instruction-active");
    this.strength = root.querySelector("#strength");
    this.knob = this.strength.querySelector("input");
    /** What a new session should begin with. */
    this.label = "idle";
    this.instruction = "";
    this.eyes = 1;
    this.#listen();
    this.#suggest(root.querySelector(".suggestions"));
  }

  /** @param {{name: string, title: string, description: string}[]} labels */
  load(labels) {
    this.#labels = labels;
    this.chips.replaceChildren(...labels.map((l) => this.#chip(l)));
    this.show({ label: this.label });
  }

  /**
   * Show what the session is doing.
   * @param {{label?: string, instruction?: string, eyes?: number | null}} session `eyes` is null
   *   where nothing can be guided
   */
  show({ label, instruction, eyes }) {
    if (eyes !== undefined) {
      this.strength.hidden = eyes === null;
      if (eyes !== null) this.#showStrength(eyes);
    }
    if (label !== undefined) {
      this.label = label;
      const chip = this.chips.querySelector(`input[value="${CSS.escape(label)}"]`);
      if (chip) chip.checked = true;
      this.#describe(label);
    }
    if (instruction !== undefined) {
      this.instruction = instruction;
      this.active.hidden = !instruction;
      this.active.querySelector("span").textContent = instruction;
    }
  }

  /** What people call a label. */
  titleOf(label) {
    return this.#labels.find((l) => l.name === label)?.title ?? label;
  }

  focus() {
    (this.chips.querySelector("input:checked") ?? this.chips.querySelector("input"))?.focus();
  }

  /** Tell which parts of an instruction were not understood. @param {string[]} unknown */
  understood(unknown) {
    const words = unknown.map((w) => `“${w}”`).join(", ");
    this.result.textContent = unknown.length ? `Not understood: ${words}` : "Understood";
    this.result.classList.toggle("warn", unknown.length > 0);
  }

  #listen() {
    this.chips.addEventListener("change", ({ target }) => this.#choose(target.value));
    for (const type of ["pointerover", "focusin"]) {
      this.chips.addEventListener(type, ({ target }) => {
        const input = target.closest(".chip")?.querySelector("input");
        if (input) this.#describe(input.value);
      });
    }
    for (const type of ["pointerleave", "focusout"]) {
      this.chips.addEventListener(type, () => this.#describe(this.label));
    }
    this.knob.addEventListener("input", () => this.#nameStrength(this.knob.valueAsNumber));
    this.knob.addEventListener("change", () => this.#strengthen(this.knob.valueAsNumber));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (text) this.#instruct(text);
    });
    this.active.querySelector("button").addEventListener("click", () => {
      this.#instruct("");
      this.input.focus();
    });
  }

  async #choose(label) {
    const before = this.label;
    this.label = label;
    this.#describe(label);
    const problem = await this.behave({ label });
    if (!problem) return;
    this.toasts.error(problem);
    if (this.label === label) this.show({ label: before });
  }

  async #strengthen(eyes) {
    const before = this.eyes;
    this.eyes = eyes;
    const problem = await this.behave({ eyes });
    if (!problem) return;
    this.toasts.error(problem);
    if (this.eyes === eyes) this.#showStrength(before);
  }

  #showStrength(eyes) {
    this.eyes = eyes;
    this.knob.value = eyes;
    this.#nameStrength(eyes);
  }

  #nameStrength(eyes) {
    const name = { 0: "off", 1: "usual" }[eyes] ?? `${eyes}×`;
    this.strength.querySelector("output").textContent = name;
    this.knob.setAttribute("aria-valuetext", name);
  }

  async #instruct(text) {
    this.result.textContent = "";
    const problem = await this.behave({ instruction: text });
    if (problem) {
      this.toasts.error(problem);
      return;
    }
    this.show({ instruction: text });
    if (text) this.input.value = "";
    else this.result.textContent = "";
  }

  #describe(name) {
    this.about.textContent = this.#labels.find((l) => l.name === name)?.description ?? "";
  }

  #chip({ name, title, description }) {
    const chip = this.template.content.firstElementChild.cloneNode(true);
    const input = chip.querySelector("input");
    input.value = name;
    input.dataset.testid = `label-${name}`;
    input.setAttribute("aria-description", description);
    chip.querySelector("span").textContent = title;
    chip.title = description;
    return chip;
  }

  #suggest(list) {
    for (const text of EXAMPLES) {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => this.#instruct(text));
      item.append(button);
      list.append(item);
    }
  }
}
