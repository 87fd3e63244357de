// RxDB in memory (its storages on a disk are sold, or made for browsers), replicating over its WebSocket plug-in.
import WebSocket from 'ws';
import { replicateWithWebsocketServer } from 'rxdb/plugins/replication-websocket';

import { openDatabase } from './database.mjs';

globalThis.WebSocket = WebSocket;
const BATCH_SIZE = 100;
const SAVED_AT_ONCE = 1000;

export async function open(name, { port, space }) {
  const database = await openDatabase(name, [space]);
  const collection = database[space];
  const waiting = new Map();
  collection.$.subscribe(({ documentId, documentData }) => waiting.get(documentId)?.(documentData));
  let replication;
  let closers = [];

  async function connect() {
    const others = collection.onClose.length;
    const url = `ws://127.0.0.1:${port}/sync`;
    const how = { collection, url, live: true, batchSize: BATCH_SIZE, replicationIdentifier: 'peers' };
    replication = await replicateWithWebsocketServer(how);
    // It closes its socket with the collection only; who goes offline and comes back would leave one behind each time.
    closers = collection.onClose.splice(others);
    await replication.awaitInitialReplication();
    await replication.awaitInSync();
  }
  async function disconnect() {
    await replication.awaitInSync();
    await replication.cancel();
    for (const close of closers) await close();
  }
  async function sync() {
    await connect();
    await disconnect();
  }

  return {
    add: (record) => collection.insert(record),
    async addAll(records) {
      for (let start = 0; start < records.length; start += SAVED_AT_ONCE) {
        await collection.bulkInsert(records.slice(start, start + SAVED_AT_ONCE));
      }
    },
    read: async (id) => (await collection.findOne(id).exec())?.toJSON(),
    async edit(edits) {
      const found = await collection.findByIds(edits.map(({ id }) => id)).exec();
      await Promise.all(edits.map(({ id, field, value }) => found.get(id).incrementalPatch({ [field]: value })));
    },
    push: sync,
    pull: sync,
    sync,
    connect,
    disconnect,
    arrival: ({ id, field, value }) =>
      new Promise((resolve) => {
        waiting.set(id, (document) => document[field] === value && resolve());
      }),
    kept: async () => [], // Its default conflict handler takes the server's state, and keeps nothing of the other.
    close: () => database.close(),
  };
}
