// Percent-encoding of any text. An identifier may hold half of a surrogate pair, for which encodeURIComponent,
// decodeURIComponent and URLSearchParams have no bytes; the API and the page take the three of WTF-8.

/** @param {unknown} value */
export function encoded(value) {
  return Array.from(String(value), (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0xd800 || code > 0xdfff) return encodeURIComponent(character);
    const bytes = [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase()}`).join("");
  }).join("");
}

const SURROGATE = /(%ED%[AB][0-9A-F]%[89AB][0-9A-F])/i;

/** @param {string} text */
function decoded(text) {
  const parts = text.replaceAll("+", " ").split(SURROGATE);
  return parts.map((part, index) => (index % 2 ? surrogate(part) : plain(part))).join("");
}

/** @param {string} bytes */
function surrogate(bytes) {
  const [, second = 0, third = 0] = bytes
    .split("%")
    .slice(1)
    .map((byte) => parseInt(byte, 16));
  return String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f));
}

/**
 * What is no valid encoding stays as it is.
 * @param {string} text
 */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The names and values in a query; of a name that is there twice, the first one comes last.
 * @param {string} query
 * @returns {[string, string][]}
 */
export function pairsIn(query) {
  const parts = query.replace(/^\?/, "").split("&").reverse();
  return parts.map((part) => {
    const [name = "", ...value] = part.split("=");
    return [decoded(name), decoded(value.join("="))];
  });
}
