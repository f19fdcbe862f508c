// A headless Chromium that does what it is told, one JSON object a line on standard input, and answers each with one.
//
//   node drive.mjs PLAYWRIGHT-FOLDER CHROMIUM AXE-FILE
//
// {"do": "open", "width": 1400, "theme": "dark", "script": true}   a browser of its own, with an empty page
// {"do": "goto", "address": "…"}  {"do": "click", "at": "…"}  {"do": "fill", "at": "…", "text": "…"}
// {"do": "press", "key": "…"}  {"do": "wheel", "at": "…", "by": 100}  {"do": "wait", "for": "expression"}
// {"do": "tell", "what": "expression"}  {"do": "axe"}  {"do": "shoot", "file": "…"}  {"do": "errors"}

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [playwright, chromium, axe] = process.argv.slice(2);
const { chromium: browserType } = createRequire(import.meta.url)(playwright);
const browser = await browserType.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'],
});
const WITHIN = 15_000;
let context, page, errors = [];

const acts = {
  async open({ width, theme, script }) {
    await context?.close();
    context = await browser.newContext({
      viewport: { width, height: width < 500 ? 844 : 900 }, colorScheme: theme, javaScriptEnabled: script, bypassCSP: false,
    });
    page = await context.newPage();
    page.setDefaultTimeout(WITHIN);
    errors = [];
    page.on('console', message => { if (['error', 'warning'].includes(message.type())) errors.push(message.text()); });
    page.on('pageerror', error => errors.push(String(error.stack ?? error).slice(0, 400)));
    page.on('request', request => { if (!/^(http:\/\/(127\.0\.0\.1|localhost)[:/]|data:)/.test(request.url())) errors.push(`asks ${request.url()}`); });
  },
  async goto({ address }) { return (await page.goto(address))?.status(); },
  async click({ at }) { await page.locator(at).first().click(); },
  async fill({ at, text }) { await page.locator(at).first().fill(text); },
  async press({ key }) { await page.keyboard.press(key); },
  async wheel({ at, by }) { await page.locator(at).first().hover(); await page.mouse.wheel(0, by); },
  async wait({ for: expression }) {
    for (const until = Date.now() + 4 * WITHIN; ;) {
      if (await page.evaluate(expression).catch(() => false)) return;  // a page that is just left gives nothing
      if (Date.now() > until) throw new Error(`never came: ${expression}\n${await page.evaluate('document.body.innerText')}`);
      await new Promise(done => setTimeout(done, 50));
    }
  },
  async tell({ what }) { return page.evaluate(what); },
  async axe() {
    await page.evaluate(readFileSync(axe, 'utf8'));
    const found = await page.evaluate('axe.run({ resultTypes: ["violations"] })');
    return found.violations.map(({ id, impact, nodes }) => ({ id, impact, at: nodes.map(node => node.html.slice(0, 200)) }));
  },
  async shoot({ file }) { await page.screenshot({ path: file, fullPage: true }); },
  async errors() { return errors; },
};

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  let answer;
  try {
    answer = { gives: (await acts[told.do](told)) ?? null };
  } catch (error) {
    answer = { failed: String(error).slice(0, 1000) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
