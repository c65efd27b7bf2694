/** HTTP with problem JSON (RFC 9457): every failure is a `Problem` whose message is fit to show. */

export class Problem extends Error {
  /**
   * @param {string} detail what is wrong and what to do next
   * @param {{status?: number, code?: string, retryAfter?: number, ticket?: string,
   *   position?: number, etaS?: number}} [facts] `status` is 0 when no answer came; `retryAfter`
   *   and `etaS` are in seconds; `position` is the place in the line that `ticket` keeps
   */
  constructor(detail, { status = 0, code = "error", retryAfter, ticket, position, etaS } = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.ticket = ticket;
    this.position = position;
    this.etaS = etaS;
  }

  /** Read the fields of a problem object, as HTTP bodies and `error` events carry them. */
  static from(fields, { status = fields?.status ?? 0, retryAfter = fields?.retry_after } = {}) {
    const code = fields?.code ?? String(fields?.type ?? "").replace("urn:saccade:", "");
    const detail = fields?.detail || fields?.title || `The server answered with status ${status}.`;
    const { ticket, position, eta_s: etaS } = fields ?? {};
    return new Problem(detail, {
      status,
      code: code || "error",
      retryAfter,
      ticket: ticket ?? undefined,
      position: position ?? undefined,
      etaS: etaS ?? undefined,
    });
  }
}

/** The server that this file came from, which is also the one of a page of another origin. */
export const HOME = new URL(".", import.meta.url).href;

/**
 * Resolve a path of the server. One from an answer, `/v1/…`, lies below `base` also where the
 * server does not know that a proxy shows it there.
 */
export function resolve(path, base = HOME) {
  const rooted = typeof path === "string" && path.startsWith("/");
  const known = !rooted || path.startsWith(new URL(base).pathname);
  return new URL(known ? path : `.${path}`, base);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{json?: object, body?: BodyInit, type?: string, token?: string, signal?: AbortSignal,
 *   keepalive?: boolean, headers?: Record<string, string>}} [options]
 * @returns {Promise<Response>} an answer with a 2xx status
 * @throws {Problem} on any other answer, or none; an AbortError passes through
 */
export async function request(method, path, options = {}) {
  const { json, type, token, signal, keepalive } = options;
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (json) headers["Content-Type"] = "application/json";
  else if (type) headers["Content-Type"] = type;
  const body = json ? JSON.stringify(json) : options.body;
  let answer;
  try {
    answer = await fetch(resolve(path), { method, headers, body, signal, keepalive });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server can not be reached. Is it running?", { code: "unreachable" });
  }
  if (answer.ok) return answer;
  throw Problem.from(await readProblem(answer), {
    status: answer.status,
    retryAfter: Number(answer.headers.get("Retry-After")) || undefined,
  });
}

async function readProblem(answer) {
  try {
    return await answer.json();
  } catch {
    return { title: answer.statusText };
  }
}

/** Whether the same request may do later: no answer, a server's error, or asked too often. */
export function passes({ status }) {
  return !status || status === 429 || status >= 500;
}

/** What became of a request whose answer does not matter: null, or why it was refused. */
export function refusal(asked) {
  return asked.then(
    () => null,
    (error) => error,
  );
}

/** GET and parse JSON. */
export async function read(path, options) {
  return (await request("GET", path, options)).json();
}
