// Hocuspocus with its SQLite extension: node server.mjs PORT FOLDER
import { SQLite } from '@hocuspocus/extension-sqlite';
import { Server } from '@hocuspocus/server';

const MESSAGE_BYTES_MAX = 2 ** 30;
const [port, folder] = process.argv.slice(2);
const stored = new SQLite({ database: `${folder}/documents.sqlite` });
// It drops a document when the last one leaves, and loads it anew for the next; here somebody is always online.
const hold = async ({ documentName, instance }) => void instance.openDirectConnection(documentName);
const settings = { port: Number(port), address: '127.0.0.1', quiet: true };
const hooks = { extensions: [stored], afterLoadDocument: hold };
await new Server({ ...settings, ...hooks }, { maxPayload: MESSAGE_BYTES_MAX }).listen();
