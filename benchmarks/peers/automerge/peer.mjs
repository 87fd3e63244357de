// automerge-repo: one document with a map of records, kept in files, synchronised over its WebSocket adapter.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';

import { getConflicts } from '@automerge/automerge';
import { encodeHeads, Repo } from '@automerge/automerge-repo';
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket';
import { NodeFSStorageAdapter } from '@automerge/automerge-repo-storage-nodefs';

const FIELDS_IN_CONFLICT = ['title', 'status'];
const LOOK_AGAIN_MS = 2;

// Replicas find each other's document by its address; an application would hand it over with an invitation.
const addresses = new Map();

export async function open(name, { port, folder, space }) {
  const path = `${folder}/${name}`;
  fs.mkdirSync(path, { recursive: true });
  const repo = new Repo({ storage: new NodeFSStorageAdapter(path), sharePolicy: async () => true });
  let handle;
  let [adapter, theirHeads] = [];
  repo.synchronizer.on('sync-state', ({ syncState }) => {
    theirHeads = syncState.theirHeads;
  });

  const own = () => {
    if (!handle) {
      handle = repo.create({ records: {} });
      addresses.set(space, handle.url);
    }
    return handle;
  };
  const same = () => theirHeads && encodeHeads(theirHeads).sort().join() === [...handle.heads()].sort().join();
  async function level() {
    while (!same()) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    await repo.flush();
  }
  async function connect() {
    theirHeads = undefined; // What the server had the last time says nothing of today.
    // The server says nothing to a peer that it knows and that has nothing new, so that nobody could tell when a sync
    // with nothing to do is over. A peer id is drawn anew when an application starts; here for each connection.
    repo.networkSubsystem.peerId = `${name}-${randomUUID()}`;
    adapter = new WebSocketClientAdapter(`ws://127.0.0.1:${port}`);
    const met = once(repo.networkSubsystem, 'peer');
    repo.networkSubsystem.addNetworkAdapter(adapter);
    await met;
    handle ??= await repo.find(addresses.get(space));
    await level();
  }
  async function disconnect() {
    await level();
    repo.networkSubsystem.removeNetworkAdapter(adapter);
  }
  async function sync() {
    await connect();
    await disconnect();
  }

  return {
    path,
    async add(record) {
      own().change((document) => {
        document.records[record.id] = record;
      });
      await repo.flush();
    },
    async addAll(records) {
      own().change((document) => {
        for (const record of records) document.records[record.id] = record;
      });
      await repo.flush();
    },
    read: async (id) => handle.doc().records[id],
    async edit(edits) {
      handle.change((document) => {
        for (const { id, field, value } of edits) document.records[id][field] = value;
      });
      await repo.flush();
    },
    push: sync,
    pull: sync,
    sync,
    connect,
    disconnect,
    arrival: ({ id, field, value }) =>
      new Promise((resolve) => {
        const look = ({ doc }) => {
          if (doc.records[id][field] !== value) return;
          handle.off('change', look);
          repo.flush().then(resolve);
        };
        handle.on('change', look);
      }),
    async kept(id) {
      const record = handle.doc().records[id];
      const values = (field) => Object.values(getConflicts(record, field) ?? {});
      return FIELDS_IN_CONFLICT.flatMap((field) => values(field).map((value) => ({ [field]: value })));
    },
    close: () => repo.shutdown(),
  };
}
