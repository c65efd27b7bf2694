/** Types of `saccade.js`, the client of a Saccade server. See docs/clients.md. */

/** 16 kHz samples since the session began; a video frame is 640 of them. */
export type Pts = number;

export type State = "idle" | "listening" | "thinking" | "speaking";

/** What a session is like. All of it is optional; `GET /v1/labels` and `/v1/portraits` list names. */
export interface SessionOptions {
  /** Id of a portrait; the server's first one when there is none. */
  portrait?: string;
  /** What the eyes mean to begin with. */
  label?: string;
  /** In words: "look slightly left, then nod". */
  instruction?: string;
  /** How strongly the generator's eyes are guided: 0 not at all, 1 as usual, at most 2.5. */
  eyes?: number;
  /** The same seed moves the same way. */
  seed?: number;
}

/** How a session is reached. Addresses are whole. */
export interface Session {
  readonly id: string;
  /** Opens all routes of the session: `Authorization: Bearer …`. */
  readonly token: string;
  readonly url: string;
  readonly whep: string;
  readonly control: string;
  readonly portrait: string;
  /** Parts of the instruction that were not understood. */
  readonly unknown: string[];
  /** Seconds it lives without viewers and commands; null: for ever. */
  readonly expires_in: number | null;
}

/** Shows what is received; for those who want more than one video element does. */
export interface Surface {
  /**
   * Show a stream. It may come while another one still plays, which ends once this one is shown.
   * @returns milliseconds from `answeredAt` (`performance.now()`) to the first picture shown
   */
  attach(player: { readonly stream: MediaStream; readonly answeredAt: number }): Promise<number>;
  /** Keep the last picture: the connection is about to go. */
  freeze(): void;
  /** It is over. */
  clear?(): void;
}

export interface Common {
  /** Address of the server; where `saccade.js` came from when there is none. */
  base?: string;
  /** What sessions are like; a function is asked anew for each. */
  session?: SessionOptions | (() => SessionOptions);
  /** Under this name the tab keeps its session over a reload; not at all without one. */
  keep?: string | null;
}

export type Options = Common & ({ video: HTMLVideoElement } | { surface: Surface });

/** Every failure: `message` says what is wrong and what to do next, and is fit to show. */
export class Problem extends Error {
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** The last part of `urn:saccade:…`: `full`, `not-found`, `unreachable`, `microphone` … */
  readonly code: string;
  /** Seconds. */
  readonly retryAfter?: number;
  /** Keeps the place in the line. It is sent by itself. */
  readonly ticket?: string;
  /** 1 is next. */
  readonly position?: number;
  /** About how many seconds it takes, where the server knows. */
  readonly etaS?: number;
}

export type Phase =
  | "starting"
  | "connecting"
  /** Another portrait is on its way; the old one still plays. */
  | "changing"
  /** The server is full or away; it is asked again by itself. */
  | "waiting"
  | "reconnecting"
  | "live"
  /** All tries were in vain, or the server refused: `connect` begins anew. */
  | "failed"
  | "closed";

/** What the module itself tells. */
export interface LinkEvent {
  type: "link";
  phase: Phase;
  /** In words, where there is something to say. */
  detail?: string;
  /** Until the next try, while `waiting`. */
  retryInMs?: number;
  /** Our place in the line, while the server is full. */
  position?: number;
  etaS?: number;
  problem?: Problem;
  /** From the server's answer to the first picture, when `live`. */
  firstFrameMs?: number;
}

/** Once a second; null while nothing is connected. */
export interface MeasuredEvent {
  type: "measured";
  summary: null | {
    fps: number;
    rttMs?: number;
    bufferMs?: number;
    /** Half the round trip, jitter buffer and decoding. */
    delayMs?: number;
    kbps: number;
    codec?: string;
    height?: number;
    dropped: number;
    freezes: number;
    lost: number;
    lostShare?: number;
    patchedShare?: number;
    frozenShare: number;
  };
}

export interface MicrophoneEvent {
  type: "microphone";
  /** Mute the avatar while it is on: it speaks with the user's own voice. */
  on: boolean;
  problem?: Problem;
}

/** Loudness of the microphone, 50 times a second. */
export interface LevelEvent {
  type: "level";
  /** RMS in [0, 1]. */
  level: number;
}

/** What all events of the server have; docs/api.md describes them. */
export interface ServerEvent {
  v: 1;
  id: string;
  /** The id of the command that caused it, as `say` and the others resolve with. */
  cause: string | null;
  type: string;
  pts: Pts;
  [field: string]: unknown;
}

export interface HelloEvent extends ServerEvent {
  type: "hello";
  session: { id: string; state: State; turn: number; portrait: unknown; [field: string]: unknown };
  labels: { name: string; title: string; description: string }[];
}
export interface StateEvent extends ServerEvent {
  type: "state";
  state: State;
}
export interface SpeechEvent extends ServerEvent {
  type: "speech";
  phase: "started" | "ended";
}
export interface PlanEvent extends ServerEvent {
  type: "plan";
  /** What the eyes will do; amount 0 and why `withdrawn` cancel an earlier one. */
  actions: { kind: string; start: Pts; peak: Pts; end: Pts; amount: number; why: string }[];
}
export interface ControlsEvent extends ServerEvent {
  type: "controls";
  /** Rows of the 17 control channels, 25 a second, from `pts` on. */
  values: number[][];
}
export interface StatsEvent extends ServerEvent {
  type: "stats";
  fps: number;
  render_ms: number;
  level: string;
  viewers: number;
}
export interface InterruptedEvent extends ServerEvent {
  type: "interrupted";
  dropped: boolean;
  /** The turn that begins. */
  turn: number;
}
export interface ExpiringEvent extends ServerEvent {
  type: "expiring";
  in_s: number;
  reason: "idle" | "ttl" | "drain";
}
export interface ErrorEvent extends ServerEvent {
  type: "error";
  code: string;
  status: number;
  detail: string;
}

export interface Events {
  link: LinkEvent;
  measured: MeasuredEvent;
  microphone: MicrophoneEvent;
  level: LevelEvent;
  hello: HelloEvent;
  state: StateEvent;
  speech: SpeechEvent;
  plan: PlanEvent;
  controls: ControlsEvent;
  stats: StatsEvent;
  interrupted: InterruptedEvent;
  expiring: ExpiringEvent;
  /** What the server could not do; a command that fails rejects as well. */
  error: ErrorEvent;
  score: ServerEvent;
  understood: ServerEvent;
  degraded: ServerEvent;
  publication: ServerEvent;
  recording: ServerEvent;
  /** Every event of the server. */
  event: ServerEvent;
}

/**
 * One avatar. It comes back by itself when a connection, the network, or the server fails for a
 * while: `link` events tell how that goes.
 */
export class Saccade {
  constructor(options: Options);
  readonly base: string;
  readonly phase: Phase;
  /** What plays or is on its way. */
  readonly session: Session | null;
  readonly stream: MediaStream | null;
  /** How often the connection found another way to the same session. */
  readonly restarts: number;
  readonly microphoneIsOn: boolean;
  /** Counts interruptions, anybody's, as far as they are known here. */
  readonly turn: number;

  /** @returns stops telling `handler` */
  on<T extends keyof Events>(type: T, handler: (event: Events[T]) => void): () => void;

  /**
   * Begin; when something plays, change over to another session without a gap. Waits in line
   * while the server is full.
   * @returns when the first picture is shown
   * @throws {Problem} when it `failed`, AbortError when it was closed meanwhile
   */
  connect(options?: {
    session?: SessionOptions | (() => SessionOptions);
    /** Go on with the session this tab has kept, if it lives; needs `keep`. */
    resume?: boolean;
  }): Promise<void>;
  /** End the session and free its place; resolves when that is done. Closing twice is fine. */
  close(): Promise<void>;

  // Commands resolve once the server has accepted them, with the id that is the `cause` of the
  // events that follow, and reject with a Problem.

  /**
   * Speak a text; texts queue. With a `turn` it rejects with `stale-turn` when an interruption has
   * ended that one: read `turn` when you begin to think of an answer.
   */
  say(text: string, options?: { turn?: number }): Promise<string>;
  /** What the eyes mean, from now on; before there is a session, for the next one. */
  behave(fields: Pick<SessionOptions, "label" | "instruction" | "eyes">): Promise<string>;
  /** What the conversation is at: the user talks, your model works, neither. */
  attend(state: "idle" | "listening" | "thinking"): Promise<string>;
  interrupt(): Promise<string>;
  /** Any command of docs/api.md. */
  send(type: string, fields?: object): Promise<string>;
  /**
   * Speech as it is made: PCM16, little endian, mono, 16 kHz unless an `audio_start` was sent.
   * Dropped while there is no connection. Send `audio_end` when it is over. After
   * `send("audio_start", { turn })` none of it is spoken in another turn.
   */
  sendAudio(pcm: ArrayBuffer): void;
  /** Speak a sound file; with a `turn` as `say` does. */
  speak(
    file: Blob,
    options?: { cause?: string; turn?: number },
  ): Promise<{ id: string; seconds: number; warnings: string[] }>;
  /** Why the eyes do what they do: the latest plans, newest first. */
  plans(): Promise<object[]>;
  /** Speak through the avatar; needs https or localhost. */
  startMicrophone(): Promise<void>;
  stopMicrophone(): Promise<void>;
}
