/**
 * Return the address of the emulator in *url*, and the account that it names, if any. Throws TypeError for another URL.
 * @param {string} url
 * @returns {{ server: string, account: string | undefined }}
 */
export function parsed(url: string): {
    server: string;
    account: string | undefined;
};
export const DEFAULT_URL: "http://127.0.0.1:4010";
export const INGEST_PATH: "/api/v1";
