/** The lanes of the strip chart: which control channels they show, and how. */

/** Columns of a control row (`CHANNELS` of the server). */
const C = {
  AU1_L: 0, AU1_R: 1, AU2_L: 2, AU2_R: 3, AU4: 4, AU5: 5, AU45_L: 8, AU45_R: 9,
  left: 10, right: 11, up: 12, down: 13, pitch: 14, yaw: 15,
};
/** Degrees of the eye at channel value 1: horizontal, up, down. */
export const GAZE_DEGREES = { side: 35, up: 25, down: 30 };

/**
 * Lanes from top to bottom. `floor` is the smallest range shown (in `unit`), so that stillness looks
 * still; larger movements widen it. Traces go up for left, up and open.
 */
export const LANES = [
  {
    name: "gaze", title: "Gaze", ends: ["left", "right"], floor: 6, unit: "°",
    traces: [{ color: "gaze", of: (v) => (v(C.left) - v(C.right)) * GAZE_DEGREES.side }],
  },
  {
    name: "gaze", title: "Gaze", ends: ["up", "down"], floor: 6, unit: "°",
    traces: [
      { color: "gaze", of: (v) => v(C.up) * GAZE_DEGREES.up - v(C.down) * GAZE_DEGREES.down },
    ],
  },
  {
    name: "lids", title: "Lids", ends: ["open", "shut"], fixed: [-1.04, 0.5],
    traces: [
      { color: "right", key: "R", of: (v) => 0.5 * v(C.AU5) - v(C.AU45_R) },
      { color: "left", key: "L", of: (v) => 0.5 * v(C.AU5) - v(C.AU45_L) },
    ],
  },
  {
    name: "brows", title: "Brows", ends: [], fixed: [-0.06, 1.04],
    traces: [
      { color: "au4", key: "AU4", of: (v) => v(C.AU4) },
      { color: "au2", key: "AU2", of: (v) => (v(C.AU2_L) + v(C.AU2_R)) / 2 },
      { color: "au1", key: "AU1", of: (v) => (v(C.AU1_L) + v(C.AU1_R)) / 2 },
    ],
  },
  {
    name: "turn", title: "Head", ends: ["left", "right"], floor: 6, unit: "°",
    traces: [{ color: "head", of: (v) => v(C.yaw) }],
  },
  {
    name: "nod", title: "Head", ends: ["up", "down"], floor: 6, unit: "°",
    traces: [{ color: "head", of: (v) => -v(C.pitch) }],
  },
];
