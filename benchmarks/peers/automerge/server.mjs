// automerge-repo as a sync server, its documents in files: node server.mjs PORT FOLDER
import { Repo } from '@automerge/automerge-repo';
import { NodeWSServerAdapter } from '@automerge/automerge-repo-network-websocket';
import { NodeFSStorageAdapter } from '@automerge/automerge-repo-storage-nodefs';
import { WebSocketServer } from 'ws';

const MESSAGE_BYTES_MAX = 2 ** 30;
const [port, folder] = process.argv.slice(2);
const sockets = new WebSocketServer({ host: '127.0.0.1', port: Number(port), maxPayload: MESSAGE_BYTES_MAX });
new Repo({
  network: [new NodeWSServerAdapter(sockets)],
  storage: new NodeFSStorageAdapter(folder),
  peerId: 'server',
  sharePolicy: async () => false, // It answers who asks for a document, and offers none.
});
