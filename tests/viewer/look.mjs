// Opens a study in OHIF as a reader would: each series from the list on the left into the viewport, then looks.
// Prints one JSON object: the series listed, the text seen with each, errors of the page. Leaves a screenshot of each.
//
//   node look.mjs PLAYWRIGHT-FOLDER CHROMIUM PROFILE-FOLDER ADDRESS STUDY-UID SCREENSHOT-FOLDER

import { createRequire } from 'node:module';
import { join } from 'node:path';

const [playwright, chromium, profile, address, study, screenshots] = process.argv.slice(2);
const { chromium: browserType } = createRequire(import.meta.url)(playwright);

const context = await browserType.launchPersistentContext(profile, {
  executablePath: chromium,
  headless: true,
  viewport: { width: 1500, height: 950 },
  args: [
    '--no-sandbox', '--disable-gpu', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
const seen = { series: [], errors: [] };
try {
  const page = context.pages()[0] ?? await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', error => seen.errors.push(String(error.stack ?? error).slice(0, 400)));
  await page.goto(`${address}/viewer?StudyInstanceUIDs=${study}`);
  await page.waitForSelector('canvas', { timeout: 60_000 });
  await dismiss(page);
  await shoot(page, 'opened');
  const thumbnails = page.locator('[data-cy="study-browser-thumbnail"], [data-cy="study-browser-thumbnail-no-image"]');
  for (let index = 0; index < await thumbnails.count(); index++) {
    const listed = await thumbnails.nth(index).innerText();
    await thumbnails.nth(index).dblclick();
    await settle(page);
    if (listed.startsWith('SR')) await drawn(page);
    const opened = await viewport(page);
    const screenshot = await shoot(page, `series-${index + 1}`);
    await page.locator('[data-cy="viewport-pane"]').first().hover();
    await page.mouse.wheel(0, 400);
    await settle(page);
    const text_of_next = (await viewport(page)).text;
    seen.series.push({ listed, ...opened, screenshot, text_of_next, next: await shoot(page, `series-${index + 1}-next`) });
  }
} catch (error) {
  seen.errors.push(`look.mjs: ${error}`);
} finally {
  await context.close();
}
process.stdout.write(JSON.stringify(seen));

// The notice on investigational use and the guided tour lie over the viewer until somebody clicks them away.
async function dismiss(page) {
  for (const name of [/confirm and hide/i, /^skip/i]) {
    const button = page.getByRole('button', { name }).first();
    await button.click({ timeout: 5_000 }).catch(() => {});
  }
}

async function settle(page) {
  await page.waitForLoadState('networkidle');
  await page.waitForTimeout(1_500);
}

// The words of a report are drawn some time after its key slice; a report without any is for the test to complain of.
async function drawn(page) {
  const words = page.locator('[data-cy="viewport-pane"]').first().locator('svg text').first();
  await words.waitFor({ state: 'attached', timeout: 20_000 }).catch(() => {});
}

async function shoot(page, name) {
  await page.screenshot({ path: join(screenshots, `${name}.png`) });
  return `${name}.png`;
}

// What stands in the viewport: its text, and the words that annotations draw.
async function viewport(page) {
  const pane = page.locator('[data-cy="viewport-pane"]').first();
  return {
    text: await pane.innerText(),
    drawn: await pane.locator('svg text').allTextContents(),
    shapes: await pane.locator('svg.svg-layer line, svg.svg-layer polyline, svg.svg-layer path').count(),
    box: await pane.boundingBox(),
  };
}
