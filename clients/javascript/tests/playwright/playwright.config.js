// The example, and what fails on purpose, in one run.
import config from "../../examples/playwright/playwright.config.js";

export default { ...config, testDir: "../..", testMatch: ["examples/**/*.spec.js", "tests/**/*.spec.js"] };
