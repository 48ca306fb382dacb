// For tests/test_javascript.py: prints what the client has, or what it says when the calls in the first argument fail.
import { Emulator } from "ours-emulator";

const emulator = new Emulator();

if (process.argv[2] === undefined) {
  const members = [...Object.getOwnPropertyNames(Emulator.prototype), ...Object.keys(emulator)];
  console.log(JSON.stringify(members.filter((name) => name !== "constructor")));
} else {
  const messages = [];
  for (const [method, given] of JSON.parse(process.argv[2])) {
    messages.push(await message(() => Reflect.apply(Reflect.get(emulator, method), emulator, given)));
  }
  console.log(JSON.stringify(messages));
}

/** @param {() => Promise<unknown>} call */
async function message(call) {
  try {
    return `returned ${JSON.stringify(await call())}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
