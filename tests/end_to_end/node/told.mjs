// What a script tells the test: one scenario's outcome as one line of JSON, a failure of the SDK's included.

const [, , scenario] = process.argv;
export const { GATEWAY, KEY, MODEL } = process.env;

export async function tell(scenarios) {
  let told;
  try {
    told = await scenarios[scenario]();
  } catch (error) {
    const { name, message, status, code, requestID } = error;
    told = { error: { kind: error.constructor.name ?? name, message, status, code, requestID } };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
