// RxDB's WebSocket replication server over its memory storage: node server.mjs PORT
import { startWebsocketServer } from 'rxdb/plugins/replication-websocket';

import { openDatabase } from './database.mjs';

const MESSAGE_BYTES_MAX = 2 ** 30;
const database = await openDatabase('server', ['warm', 'measured']);
const listening = { host: '127.0.0.1', port: Number(process.argv[2]), path: '/sync' };
await startWebsocketServer({ database, ...listening, maxPayload: MESSAGE_BYTES_MAX });
