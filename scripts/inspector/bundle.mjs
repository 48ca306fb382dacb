// Prints Preact and htm as one module.
import { build } from "esbuild";

const built = await build({
  entryPoints: ["library.js"],
  bundle: true,
  format: "esm",
  legalComments: "none",
  minify: true,
  target: "es2022",
  write: false,
});
process.stdout.write(built.outputFiles[0].text);
