/**
 * Sign up: this stands for your app.
 * @param {string} baseUrl
 * @param {string} email
 */
export async function signUp(baseUrl, email) {
  const response = await fetch(`${baseUrl}/track`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: "my-token", event: "Signed Up", email }),
  });
  return response.json();
}
