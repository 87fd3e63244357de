// Kinto.js on IndexedDB in memory (node has no other), synchronising with Kinto; its conflict strategy is the default.
import 'fake-indexeddb/auto';

import Kinto from 'kinto';

const Client = Kinto.default ?? Kinto;
export const only = ['W1', 'W2', 'W3', 'W4', 'W5', 'W7']; // It has no open connection for W6.
const HEADERS = { authorization: `Basic ${Buffer.from('user:peers').toString('base64')}` };
const REQUEST_MS_MAX = 60_000;
const idSchema = { generate: () => crypto.randomUUID(), validate: () => true };

async function make(url) {
  const made = await fetch(url, { method: 'PUT', headers: HEADERS });
  if (!made.ok) throw new Error(`${made.status}: ${await made.text()}`);
}

export async function open(name, { port, space }) {
  const remote = `http://127.0.0.1:${port}/v1`;
  await make(`${remote}/buckets/${space}`);
  await make(`${remote}/buckets/${space}/collections/work_orders`);
  const adapterOptions = { dbName: `${space}-${name}` };
  const client = new Client({ remote, bucket: space, headers: HEADERS, adapterOptions, timeout: REQUEST_MS_MAX });
  const collection = client.collection('work_orders', { idSchema });
  let unsolved = new Map();

  async function sync() {
    const { ok, errors, conflicts } = await collection.sync();
    if (!ok && errors.length) throw new Error(JSON.stringify(errors.slice(0, 2)));
    unsolved = new Map(conflicts.map((one) => [(one.local ?? one.remote).id, one]));
  }

  return {
    add: (record) => collection.create(record, { useRecordId: true }),
    async addAll(records) {
      const preloadIds = records.map(({ id }) => id);
      await collection.execute((all) => records.forEach((one) => all.create({ ...one, _status: 'created' })), { preloadIds });
    },
    read: async (id) => (await collection.getAny(id)).data,
    async edit(edits) {
      const change = (all) =>
        edits.forEach(({ id, field, value }) => all.update({ ...all.get(id).data, [field]: value }));
      await collection.execute(change, { preloadIds: edits.map(({ id }) => id) });
    },
    push: sync,
    pull: sync,
    sync,
    async kept(id) {
      const { local, remote: theirs } = unsolved.get(id) ?? {};
      return [local, theirs].filter(Boolean);
    },
    close: async () => {},
  };
}
