// A Chromium to look at the page with, and a server of the built page over the fake API.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const HOME = fileURLToPath(new URL("..", import.meta.url));

/** Serve the build with the policy that the real API sends. Returns its address and a way to end it. */
export async function serve({ port = 4173, prefix = "" } = {}) {
  const vite = join(HOME, "node_modules/vite/bin/vite.js");
  const child = spawn(process.execPath, [vite, "preview", "--mode", "fake", "--port", String(port)], {
    cwd: HOME,
    env: { ...process.env, FAKE_PREFIX: prefix },
    stdio: ["ignore", "ignore", "inherit"],
  });
  process.on("exit", () => child.kill());
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
  const url = `http://localhost:${port}${prefix}/`;
  for (let tries = 0; ; tries++) {
    const up = await fetch(url)
      .then((answer) => answer.ok)
      .catch(() => false);
    if (up) break;
    if (tries > 100) throw new Error(`${url} does not answer`);
    await new Promise((go) => setTimeout(go, 100));
  }
  const set = (modes) => fetch(`http://localhost:${port}/__fake`, { method: "POST", body: JSON.stringify(modes) });
  return { url, set, end: () => child.kill() };
}

/** A browser with an empty profile that looks nowhere but here. */
export async function browse(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "buraq-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    ...options,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  return {
    context,
    end: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
