/** Files dropped on the page: pictures become portraits, sounds are spoken. */

const WORDS = {
  picture: "Drop the picture to make a portrait of it",
  sound: "Drop the sound to have it spoken",
  either: "Drop a picture to make a portrait of it, a sound to have it spoken",
};

/**
 * @param {HTMLElement} zone what is shown while files hang over the page
 * @param {{picture: (file: File) => void, sound: (file: File) => void}} takers what is neither
 *   goes where it was dropped: on the stage it is to be spoken
 */
export function acceptDrops(zone, takers) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    if (!zone.hidden) return;
    const kinds = new Set([...event.dataTransfer.items].map(kindOf));
    const [kind] = kinds.size === 1 ? kinds : [];
    zone.querySelector("p").textContent = WORDS[kind] ?? WORDS.either;
    zone.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.hidden = true;
  });
  addEventListener("drop", (event) => {
    zone.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const here = event.target.closest?.(".stage") ? "sound" : "picture";
    for (const file of event.dataTransfer.files) takers[kindOf(file) ?? here](file);
  });
}

/** `picture`, `sound` or undefined, as the browser names it: Ogg, WebM and MP4 may be "video". */
function kindOf({ type }) {
  if (type.startsWith("image/")) return "picture";
  return /^(audio|video)\/|^application\/ogg$/.test(type) ? "sound" : undefined;
}
