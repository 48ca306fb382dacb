// The live stream, read with fetch: an EventSource could not send the admin token.
/** @import { Arrival } from "types" */
import { send, urlOf } from "./api.js";
import { account } from "./place.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

/** @typedef {"connecting" | "live" | "lost" | "paused"} Liveness */
/** @typedef {{id: string, event: string, data: string}} Message */
/**
 * @typedef {object} Listener
 * @property {(arrival: Arrival) => void} receipt
 * @property {(account: string | null) => void} reset
 * @property {(state: Liveness, error?: unknown) => void} state
 */

/**
 * Follows what arrives from now on. While the tab is hidden the stream is closed: a browser opens six
 * connections to a host, and with a stream in each tab the seventh would never load.
 */
export class Follower {
  /** @param {Listener} listener @param {number | null} last the id to go on from */
  constructor(listener, last) {
    this.listener = listener;
    this.last = last;
    this.paused = false;
    /** @type {AbortController | null} */
    this.open = null;
    this.pause = FIRST_PAUSE_MS;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    document.addEventListener("visibilitychange", () => this.update());
    this.update();
  }

  /** @param {boolean} paused */
  setPaused(paused) {
    this.paused = paused;
    this.update();
  }

  /** Open or close the stream, as it should be now. */
  update() {
    clearTimeout(this.timer);
    if (this.paused || document.hidden) {
      this.open?.abort();
      this.open = null;
      if (this.paused) this.listener.state("paused");
    } else if (this.open === null) {
      this.open = new AbortController();
      void this.read(this.open);
    }
  }

  /** @param {AbortController} opened */
  async read(opened) {
    this.listener.state("connecting");
    // Where it was closed here, it ends with an error too.
    const error = await this.readAll(opened.signal).catch((caught) => caught);
    if (this.open !== opened) return;
    this.open = null;
    this.listener.state("lost", error);
    this.timer = setTimeout(() => this.update(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  /** @param {AbortSignal} signal */
  async readAll(signal) {
    const headers = this.last === null ? {} : { "Last-Event-ID": String(this.last) };
    const { body } = await send(urlOf("/debug/stream"), { headers, signal });
    if (body === null) return;
    this.listener.state("live");
    this.pause = FIRST_PAUSE_MS;
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser((message) => this.receive(message));
    for (let part = await reader.read(); !part.done && !signal.aborted; part = await reader.read()) {
      parser.add(part.value);
    }
  }

  /** @param {Message} message */
  receive({ id, event, data }) {
    if (id) this.last = Number(id);
    if (event === "receipt") this.listener.receipt(JSON.parse(data));
    if (event !== "reset") return;
    /** @type {{account: string | null}} */
    const { account: gone } = JSON.parse(data);
    // All there was is gone; an emulator that was started again counts from 1.
    if (gone === null || gone === account) this.last = 0;
    this.listener.reset(gone);
  }
}

/** Takes a text of server-sent events apart. */
export class Parser {
  /** @param {(message: Message) => void} onMessage */
  constructor(onMessage) {
    this.onMessage = onMessage;
    this.rest = "";
  }

  /** @param {string} text */
  add(text) {
    const blocks = (this.rest + text).split("\n\n");
    this.rest = blocks.pop() ?? "";
    for (const block of blocks) this.parse(block);
  }

  /** @param {string} block */
  parse(block) {
    const message = { id: "", event: "", data: "" };
    for (const line of block.split("\n")) {
      const [, name, value] = /^(id|event|data): ?(.*)$/s.exec(line) ?? [];
      if (name !== undefined) message[/** @type {"id"} */ (name)] = value ?? "";
    }
    if (message.event) this.onMessage(message);
  }
}
