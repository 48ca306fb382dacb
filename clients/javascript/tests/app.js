// Stands for an app under test: it knows a base URL and nothing else of the emulator.

/**
 * Send an event, once more after each refusal that a client is meant to wait for.
 * @param {string} baseUrl
 * @param {string} event
 * @param {object} fields
 * @returns {Promise<number>} the status of the last answer
 */
export async function track(baseUrl, event, fields) {
  const body = JSON.stringify({ token: "my-token", event, ...fields });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${baseUrl}/track`, { method: "POST", headers, body });
  // Until its answer is read, a connection keeps Node.js from ending.
  await response.text();
  return response.status === 429 ? track(baseUrl, event, fields) : response.status;
}
