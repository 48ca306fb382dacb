// JSON text as indented lines, each with the JSON pointer of what begins on it. Numbers stay as they were sent.

/** @typedef {"key" | "string" | "number" | "word" | "mark"} Kind */
/** @typedef {{kind: Kind, text: string}} Part */
/** @typedef {{depth: number, pointer: string, parts: Part[]}} Line */

// Strings may be megabytes long, for which (?:a|b)* would need more stack than there is.
const TOKEN = /\s*(?:([{}[\],:])|("[^"\\]*(?:\\.[^"\\]*)*")|(-?\d[\d.eE+-]*)|(true|false|null))/y;
const DEEPEST = 400;

/**
 * The lines of *text*; null if it is not JSON, or too deep to be read.
 * @param {string} text
 * @returns {Line[] | null}
 */
export function linesOf(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const reader = new Reader(text);
  return reader.value("", 0) ? reader.lines : null;
}

class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    /** @type {Line[]} */
    this.lines = [{ depth: 0, pointer: "", parts: [] }];
    this.token = this.next();
  }

  /** @returns {Part} */
  next() {
    TOKEN.lastIndex = this.at;
    const [, mark, string, number, word] = TOKEN.exec(this.text) ?? [];
    this.at = TOKEN.lastIndex;
    if (mark !== undefined) return { kind: "mark", text: mark };
    if (string !== undefined) return { kind: "string", text: string };
    return number !== undefined ? { kind: "number", text: number } : { kind: "word", text: word ?? "" };
  }

  /** @param {Kind} [kind] another kind than the token has */
  take(kind) {
    const taken = this.token;
    this.lines.at(-1)?.parts.push(kind ? { ...taken, kind } : taken);
    this.token = this.next();
    return taken.text;
  }

  /** @param {number} depth @param {string} pointer */
  line(depth, pointer) {
    this.lines.push({ depth, pointer, parts: [] });
  }

  /**
   * Read a value; false if it is too deep.
   * @param {string} pointer
   * @param {number} depth
   * @returns {boolean}
   */
  value(pointer, depth) {
    if (depth > DEEPEST) return false;
    const { kind, text } = this.token;
    this.take();
    if (kind !== "mark") return true;
    const end = text === "{" ? "}" : "]";
    if (this.token.text === end) return Boolean(this.take());
    return this.items(pointer, depth, end);
  }

  /** @param {string} pointer @param {number} depth @param {string} end */
  items(pointer, depth, end) {
    for (let index = 0; ; index += 1) {
      this.line(depth + 1, `${pointer}/${index}`);
      if (end === "}") this.key(pointer);
      if (!this.value(this.lines.at(-1)?.pointer ?? "", depth + 1)) return false;
      if (this.token.text === end && this.token.kind === "mark") break;
      this.take();
    }
    this.line(depth, pointer);
    this.take();
    return true;
  }

  /** @param {string} pointer of the object */
  key(pointer) {
    const line = this.lines.at(-1);
    const name = String(JSON.parse(this.take("key")));
    if (line) line.pointer = `${pointer}/${escaped(name)}`;
    this.take();
    line?.parts.push({ kind: "mark", text: " " });
  }
}

/** @param {string} name */
export const escaped = (name) => name.replaceAll("~", "~0").replaceAll("/", "~1");

/**
 * The index of the line that *pointer* is about: of what it names, else of what that would be in.
 * @param {readonly Line[]} lines
 * @param {string} pointer
 */
export function lineOf(lines, pointer) {
  for (let path = pointer; path; path = path.slice(0, path.lastIndexOf("/"))) {
    const found = lines.findIndex((line) => line.pointer === path);
    if (found >= 0) return found;
  }
  return 0;
}

/**
 * The lines of the part of a document that *pointer* names; all of them if it names none.
 * @param {readonly Line[]} lines
 * @param {string} pointer
 */
export function within(lines, pointer) {
  const part = lines.filter((line) => line.pointer === pointer || line.pointer.startsWith(`${pointer}/`));
  return part.length ? part : lines;
}
