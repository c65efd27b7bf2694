/** Messages that come and go: errors in the server's own words, and notices. */

const NOTICE_MS = 7000;
const ERROR_MS = 14000;
const MOST = 3;

export class Toasts {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.template = root.querySelector("template");
  }

  /** @param {Error | string} problem */
  error(problem) {
    this.#show(problem.message ?? String(problem), "alert", ERROR_MS);
  }

  /** @param {string} text */
  notice(text) {
    this.#show(text, "status", NOTICE_MS);
  }

  #show(text, role, ms) {
    for (const old of this.root.querySelectorAll(".toast")) {
      if (old.querySelector("p").textContent === text) old.remove();
    }
    const toast = this.template.content.firstElementChild.cloneNode(true);
    toast.classList.add(role === "alert" ? "error" : "notice");
    const words = toast.querySelector("p");
    toast.querySelector("button").addEventListener("click", () => toast.remove());
    this.root.append(toast);
    words.setAttribute("role", role);
    words.textContent = text; // After it is in the page: only a change is announced.
    while (this.root.querySelectorAll(".toast").length > MOST) {
      this.root.querySelector(".toast").remove();
    }
    expire(toast, ms);
  }
}

/** Remove after a while, but not while somebody is reading or about to press its button. */
function expire(toast, ms) {
  setTimeout(() => {
    if (toast.matches(":hover, :focus-within")) expire(toast, 2000);
    else toast.remove();
  }, ms);
}
