/** Whether a value is an object as `{}` makes one, of whatever realm: Jest runs tests in another. @param {unknown} value */
export function isPlain(value: unknown): boolean;
/** Return what a value is, in a few words. @param {unknown} value @returns {string} */
export function described(value: unknown): string;
