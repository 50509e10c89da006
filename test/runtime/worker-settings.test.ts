import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { variableNames } from "../../src/cli/config-schema.ts";
import { limitNames, limitVariable } from "../../src/runtime/limit-settings.ts";
import { readWorkerConfig, WorkerConfigError } from "../../src/runtime/worker-config.ts";
import { readWorkerSettings, type WorkerSettings, workerVariableNames } from "../../src/runtime/worker-settings.ts";
import { defaultLimits } from "../../src/session/limits.ts";

const canary = "PINEAPPLE";
const BATON_JWT_SECRET = `${canary}-${"s".repeat(40)}`;
const good = { BATON_JWT_SECRET };

function settingsOf(env: object): WorkerSettings {
  const outcome = readWorkerSettings(env);
  if (outcome.kind === "faults") assert.fail(JSON.stringify(outcome.faults));
  return outcome.settings;
}

/** The variables that are told to be wrong, and that no value of them is. */
function faultsOf(env: object): string[] {
  const outcome = readWorkerSettings(env);
  if (outcome.kind === "settings") assert.fail("nothing was wrong");
  assert.doesNotMatch(JSON.stringify(outcome.faults), new RegExp(canary));
  for (const { says } of outcome.faults) assert.ok(says.length > 10);
  return outcome.faults.map(({ variable }) => variable);
}

describe("the variables of a Worker", () => {
  test("EG22 each variable of the relay is one that a Worker heeds, or refuses by its name", () => {
    const known = variableNames.filter((name) => name.startsWith("BATON_"));
    assert.deepEqual([...workerVariableNames].sort(), [...known].sort());
    // None is silently of no use: what is not heeded is refused, or told to have no effect.
    const values = {
      BATON_ALLOWED_ORIGINS: "https://a.example.com",
      BATON_RESUME_SECRET: "r".repeat(40),
      BATON_JWT_ISSUER: "https://issuer.example.com",
      BATON_JWT_AUDIENCE: "baton",
      BATON_LOG_LEVEL: "debug",
    };
    const { limits, key, ...settings } = settingsOf({ ...good, ...values });
    assert.deepEqual(settings, {
      issuer: "https://issuer.example.com",
      audience: "baton",
      allowedOrigins: ["https://a.example.com"],
      resumeSecret: new TextEncoder().encode("r".repeat(40)),
      logLevel: "debug",
      withoutEffect: [],
    });
    assert.equal(key.kind, "secret");
    const refused = known.filter((name) => !name.startsWith("BATON_LIMIT_") && !Object.hasOwn(values, name));
    const others = refused.filter((name) => !/^BATON_(JWT_SECRET|JWT_PUBLIC_KEY|JWKS_URL)$/.test(name));
    assert.ok(others.length >= 10, others.join());
    for (const name of others) assert.deepEqual(faultsOf({ ...good, [name]: canary }), [name]);
    assert.equal(limits.sessionBytes, 16 * 1024 * 1024);
  });

  test("EG22 every limit is taken, as a text and as a number of wrangler.toml; four are told to have no effect", () => {
    const without: string[] = [];
    for (const name of limitNames) {
      // Nothing contradicts a little less of what is small, and a little more of what is large.
      const value = defaultLimits[name] + (name === "clientTtlMs" || name.endsWith("Bytes") ? 1 : -1);
      for (const given of [String(value), value]) {
        const env = { ...good, [limitVariable(name)]: given };
        const outcome = readWorkerSettings(env);
        if (outcome.kind === "faults") {
          assert.match(JSON.stringify(outcome.faults), new RegExp(limitVariable(name)));
          continue;
        }
        assert.equal(outcome.settings.limits[name], value, name);
        without.push(...outcome.settings.withoutEffect);
      }
    }
    assert.deepEqual([...new Set(without)].sort(), [
      "BATON_LIMIT_CONNECTION_IDLE_MS",
      "BATON_LIMIT_DRAIN_MS",
      "BATON_LIMIT_HEADER_BYTES",
      "BATON_LIMIT_STREAMS_PER_CONNECTION",
    ]);
  });

  test("EG22 what is wrong is told all at once, by variable and without a value", () => {
    const wrong: Record<string, unknown> = {
      BATON_JWT_AUDIENCE: `${canary}\n`,
      BATON_ALLOWED_ORIGINS: `https://${canary}/x`,
      BATON_RESUME_SECRET: canary,
      BATON_LOG_LEVEL: canary,
      BATON_LIMIT_WRITERS: canary,
      BATON_LIMIT_READERS: "0",
      BATON_LIMIT_RETRIES: canary,
      BATON_JWT_ISSUER: "",
      BATON_LIMIT_IDLE_MS: { canary },
    };
    assert.deepEqual(faultsOf({ ...good, ...wrong }).sort(), Object.keys(wrong).sort());
    const keys = "BATON_JWT_SECRET, BATON_JWT_PUBLIC_KEY, BATON_JWKS_URL";
    assert.deepEqual(faultsOf({}), [keys]);
    assert.deepEqual(faultsOf({ BATON_LIMIT_READERS: "0" }).sort(), [keys, "BATON_LIMIT_READERS"]);
    assert.deepEqual(faultsOf({ BATON_JWT_SECRET: "" }), ["BATON_JWT_SECRET"]);
    assert.deepEqual(faultsOf({ ...good, BATON_JWKS_URL: `https://issuer.example.com/${canary}` }), [
      "BATON_JWT_SECRET, BATON_JWT_PUBLIC_KEY, BATON_JWKS_URL",
    ]);
    assert.deepEqual(faultsOf({ BATON_JWKS_URL: `http://issuer.example.com/${canary}` }), ["BATON_JWKS_URL"]);
    assert.deepEqual(faultsOf({ ...good, BATON_RESUME_SECRET: BATON_JWT_SECRET }), ["BATON_RESUME_SECRET"]);
    assert.deepEqual(faultsOf({ ...good, BATON_LIMIT_MESSAGE_BYTES: 1_900_000, BATON_LIMIT_UNACKED_BYTES: 4e6 }), [
      "BATON_LIMIT_MESSAGE_BYTES, BATON_LIMIT_RING_BYTES",
      "BATON_LIMIT_MESSAGE_BYTES",
    ]);
    const misspelt = readWorkerSettings({ ...good, BATON_JWT_SECRETS: canary });
    assert.match(JSON.stringify(misspelt), /did you mean BATON_JWT_SECRET\?/);
    assert.equal(settingsOf({ ...good, SESSIONS: {}, OTHER: canary }).key.kind, "secret");
  });

  test("EG22 keys that are none are told by their variable", async () => {
    const pem = `-----BEGIN PUBLIC KEY-----\n${canary}\n-----END PUBLIC KEY-----`;
    for (const [variable, value] of [
      ["BATON_JWT_PUBLIC_KEY", pem],
      ["BATON_JWT_SECRET", pem],
      ["BATON_JWT_PUBLIC_KEY", "./key.pem"],
    ] as const) {
      await assert.rejects(readWorkerConfig({ [variable]: value }), (error) => {
        assert.ok(error instanceof WorkerConfigError);
        assert.ok(error.message.startsWith(`${variable}: `), error.message);
        assert.doesNotMatch(error.message, new RegExp(canary));
        return true;
      });
    }
  });
});
