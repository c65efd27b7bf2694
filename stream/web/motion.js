/** Whether things may move. */

const reduced = matchMedia("(prefers-reduced-motion: reduce)");

export const isMotionReduced = () => reduced.matches;

/** Length of a cross-fade, ms. Keep in step with `--fade` in the style sheet. */
export const fade = () => (reduced.matches ? 0 : 280);
