export const DEFAULT_URL = "http://127.0.0.1:4010";
export const INGEST_PATH = "/api/v1";
const ADDRESS = /^(?<server>https?:\/\/[^/?#\s]+)(?:\/accounts\/(?<account>[^/?#]+))?$/;

/**
 * Return the address of the emulator in *url*, and the account that it names, if any. Throws TypeError for another URL.
 * @param {string} url
 * @returns {{ server: string, account: string | undefined }}
 */
export function parsed(url) {
  const text = String(url).replace(/\/+$/, "");
  const base = text.endsWith(INGEST_PATH) ? text.slice(0, -INGEST_PATH.length) : text;
  const { server, account } = ADDRESS.exec(base)?.groups ?? {};
  if (server === undefined || !URL.canParse(server)) {
    throw new TypeError(`'${url}' is not the address of an emulator; use one like ${DEFAULT_URL}`);
  }
  return { server, account };
}
