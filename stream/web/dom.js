/** Making elements. Text is only ever text: nothing that comes from elsewhere is parsed as HTML. */

/**
 * @param {string} tag with classes, as in `p.small`
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string | null | undefined | false)} children
 */
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter(Boolean));
  return element;
}

/** Set text, but only when it differs: writing what is there already costs a layout. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
