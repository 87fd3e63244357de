// Yjs: one document with a map of records, kept by y-leveldb, synchronised by Hocuspocus.
import fs from 'node:fs';

import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import WebSocket from 'ws';
import { LeveldbPersistence } from 'y-leveldb';
import * as Y from 'yjs';

const DOCUMENT = 'work_orders';
const RECONNECT_MS = 10;

export async function open(name, { port, folder, space }) {
  const path = `${folder}/${name}`;
  fs.mkdirSync(path, { recursive: true });
  const store = new LeveldbPersistence(path);
  const document = new Y.Doc();
  const map = document.getMap(DOCUMENT);
  let stored = Promise.resolve();
  document.on('update', (update) => {
    stored = store.storeUpdate(DOCUMENT, update);
  });
  let [socket, provider] = [];

  const put = (record) => map.set(record.id, new Y.Map(Object.entries(record)));
  const acknowledged = () =>
    new Promise((resolve) => {
      const look = () => {
        if (!provider.hasUnsyncedChanges) {
          provider.off('unsyncedChanges', look);
          resolve();
        }
      };
      provider.on('unsyncedChanges', look);
      look();
    });
  async function connect() {
    const url = `ws://127.0.0.1:${port}`;
    const quickly = { delay: RECONNECT_MS, minDelay: RECONNECT_MS };
    socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket, ...quickly });
    await new Promise((resolve) => {
      const how = { websocketProvider: socket, name: space, document, onSynced: resolve };
      provider = new HocuspocusProvider(how);
      provider.attach();
    });
    await acknowledged();
    await stored;
  }
  async function disconnect() {
    await acknowledged();
    await stored;
    provider.destroy();
    socket.destroy();
  }
  async function sync() {
    await connect();
    await disconnect();
  }

  return {
    path,
    async add(record) {
      document.transact(() => put(record));
      await stored;
    },
    async addAll(records) {
      document.transact(() => records.forEach(put));
      await stored;
    },
    read: async (id) => map.get(id)?.toJSON(),
    async edit(edits) {
      document.transact(() => edits.forEach(({ id, field, value }) => map.get(id).set(field, value)));
      await stored;
    },
    push: sync,
    pull: sync,
    sync,
    connect,
    disconnect,
    arrival: ({ id, field, value }) =>
      new Promise((resolve) => {
        const record = map.get(id);
        const look = () => {
          if (record.get(field) !== value) return;
          record.unobserve(look);
          // The update is handed to the store after this has been heard.
          setImmediate(() => stored.then(resolve));
        };
        record.observe(look);
      }),
    kept: async () => [], // A Y.Map keeps one value of a key; the other one's is deleted.
    close: () => store.destroy(),
  };
}
