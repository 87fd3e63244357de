// Plays the workload W1 to W8 with one peer: node client.mjs PEER PORT SERVER_PROCESS WORKLOAD FOLDER
//
// Prints one JSON object a line as soon as a figure is known, so that a peer that stalls leaves what it did. A peer is
// a folder with a peer.mjs that exports `open(name, place)`, where place is { port, folder, space, records }, and
// `only`, the workloads that it can play (by default all). A replica that `open` returns is offline, and has
//   add(record), addAll(records)  saved on the device when resolved, as far as its store can promise that
//   read(id)                      the record that an application sees
//   edit(edits)                   each edit is { id, field, value }; all of them in one go
//   push(), pull(), sync()        connects, has everything acknowledged or stored, and disconnects
//   connect(), disconnect()       stays connected, for W6
//   arrival(edit)                 a promise: this replica has stored that edit
//   kept(id)                      what else it has of a record, each as an object of fields
//   close()                       done with it
//   path                          the folder or file that holds it, where it is on a disk
//   settle()                      where it has one: nothing is left in a log beside the file
import './traffic.mjs';

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

import { bytesSoFar } from './traffic.mjs';

const SAVES_SECONDS_MAX = 8; // Saving one by one stops here; the rate is what counts.
const IDLE_SYNCS = 30;
const LIVE_EDITS = 100;
const LIVE_WARM_UP = 5;
const LIVE_PAUSE_MS = 10;
const WARM_UP_RECORDS = 100;
const QUIET_SYNCS_MIN = 3; // A, B, A: what each has to say has reached the other.
const QUIET_SYNCS_MAX = 9;

const [peer, port, serverProcess, workloadFile, folder] = process.argv.slice(2);
const { records, one_field: oneField, conflicts, live } = JSON.parse(fs.readFileSync(workloadFile, 'utf8'));
const { open, only } = await import(`./${peer}/peer.mjs`);
const plays = (name) => !only || only.includes(name);

// Written for good before it goes on: what is still in a buffer at the end would be lost.
const say = (name, figures) =>
  new Promise((resolve) => process.stdout.write(`${JSON.stringify({ [name]: figures })}\n`, resolve));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const replica = (name, space = 'measured') => open(name, { port, folder, space, records });

async function timed(act) {
  const bytes = bytesSoFar();
  const start = performance.now();
  await act();
  return { seconds: (performance.now() - start) / 1000, bytes: bytesSoFar() - bytes };
}

const rate = (count, { seconds, bytes }) => ({ per_second: count / seconds, seconds, bytes });

function percentiles(milliseconds) {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  return { p50_ms: at(0.5), p95_ms: at(0.95) };
}

function serverMegabytes() {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', serverProcess]).toString()) / 1024;
}

function bytesOf(path) {
  const about = fs.statSync(path);
  if (!about.isDirectory()) return about.size;
  return fs.readdirSync(path).reduce((sum, name) => sum + bytesOf(`${path}/${name}`), 0);
}

// A store that is made of several files beside each other (x.db, x.db-wal) counts as a whole.
const filesOf = (path) => {
  const [parent, name] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
  const own = fs.readdirSync(parent).filter((one) => one.startsWith(name));
  return own.reduce((sum, one) => sum + bytesOf(`${parent}/${one}`), 0);
};

async function expectAll(store, edits, what) {
  for (const { id, field, value } of edits) {
    if ((await store.read(id))?.[field] !== value) throw new Error(`${what}: ${id} has no ${field} ${value}`);
  }
}

async function warmUp() {
  const [one, other] = [await replica('warm-one', 'warm'), await replica('warm-other', 'warm')];
  const few = records.slice(0, WARM_UP_RECORDS);
  await one.addAll(few);
  await one.push();
  await other.pull();
  if (!(await other.read(few[0].id))) throw new Error('the warm-up did not arrive');
  await one.close();
  await other.close();
}

async function onTheDevice() {
  const store = await replica('device', 'device');
  let saved = 0;
  const each = await timed(async () => {
    const until = performance.now() + SAVES_SECONDS_MAX * 1000;
    while (saved < records.length && performance.now() < until) await store.add(records[saved++]);
  });
  const reads = await timed(async () => {
    for (const { id } of records.slice(0, saved)) await store.read(id);
  });
  await store.close();
  return { saved, each: saved / each.seconds, reads: saved / reads.seconds };
}

async function measureLive(one, other) {
  await one.connect();
  await other.connect();
  const times = [];
  for (const [number, edit] of live.slice(0, LIVE_WARM_UP + LIVE_EDITS).entries()) {
    const arrived = other.arrival(edit);
    const start = performance.now();
    await one.edit([edit]);
    await arrived;
    if (number >= LIVE_WARM_UP) times.push(performance.now() - start);
    await sleep(LIVE_PAUSE_MS);
  }
  await one.disconnect();
  await other.disconnect();
  return percentiles(times);
}

const shown = async (store, ids) => {
  const found = {};
  for (const id of ids) {
    const { title, status } = (await store.read(id)) ?? {};
    found[id] = { title, status };
  }
  return found;
};

async function measureConflicts(one, other) {
  const ids = [...new Set([...conflicts.one, ...conflicts.other].map(({ id }) => id))];
  await one.edit(conflicts.one);
  await other.edit(conflicts.other);
  const sides = [one, other];
  let before = [await shown(one, ids), await shown(other, ids)];
  let spent = { seconds: 0, bytes: 0 };
  let [untilQuiet, syncs, still] = [spent, 0, 0];
  // Reading what is shown is not timed. Quiet: both have synced, and nothing that they show has changed.
  for (let turn = 0; turn < QUIET_SYNCS_MAX && (turn < QUIET_SYNCS_MIN || still < 2); turn += 1) {
    const took = await timed(() => sides[turn % 2].sync());
    spent = { seconds: spent.seconds + took.seconds, bytes: spent.bytes + took.bytes };
    const now = [await shown(one, ids), await shown(other, ids)];
    const changed = JSON.stringify(now) !== JSON.stringify(before);
    still = changed ? 0 : still + 1;
    if (changed || turn < QUIET_SYNCS_MIN) [untilQuiet, syncs] = [spent, turn + 1];
    before = now;
  }
  // A device that was never there gets what the server holds.
  const fresh = await replica('fresh');
  await fresh.pull();
  const kept = {};
  for (const id of ids) {
    kept[id] = [...(await one.kept(id)), ...(await other.kept(id)), ...(await fresh.kept(id))];
  }
  await say('conflicts', { one: before[0], other: before[1], server: await shown(fresh, ids), kept });
  await fresh.close();
  return { ...untilQuiet, syncs };
}

async function play() {
  if (plays('W1')) await warmUp();
  const { saved, each, reads } = await onTheDevice();
  const [one, other] = [await replica('one'), await replica('other')];
  const all = await timed(() => one.addAll(records));
  await say('W7', { saved, each_per_second: each, batch_per_second: records.length / all.seconds, read_per_second: reads });
  if (plays('W1')) {
    await say('W1', rate(records.length, await timed(() => one.push())));
    await say('W8', { server_megabytes: serverMegabytes() });
  }
  await say('W2', rate(records.length, await timed(() => other.pull())));
  for (const { id } of records) if (!(await other.read(id))) throw new Error(`${id} was not pulled`);
  await other.settle?.();
  if (other.path) await say('W8', { store_bytes: filesOf(other.path) });
  if (plays('W3')) {
    await one.sync();
    await other.sync();
    await one.edit(oneField);
    const [there, back] = [await timed(() => one.push()), await timed(() => other.pull())];
    await expectAll(other, oneField, 'W3');
    await say('W3', { seconds: there.seconds + back.seconds, bytes: there.bytes + back.bytes });
  }
  if (plays('W5')) {
    await one.sync();
    const idle = [];
    for (let turn = 0; turn < IDLE_SYNCS; turn += 1) idle.push(await timed(() => other.sync()));
    await say('W5', { ...percentiles(idle.map(({ seconds }) => seconds * 1000)), bytes: idle.at(-1).bytes });
  }
  if (plays('W6')) await say('W6', await measureLive(one, other));
  if (plays('W4')) {
    await one.sync();
    await other.sync();
    await say('W4', await measureConflicts(one, other));
  }
  await say('done', true);
}

try {
  await play();
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
