import { defineConfig } from "@playwright/test";

const chromium = process.env.CHROMIUM;

export default defineConfig({
  // Without CHROMIUM, the browser is the one that `npx playwright install chromium` has installed.
  use: { launchOptions: chromium ? { executablePath: chromium, args: ["--no-sandbox"] } : {} },
});
