// Counts what this process sends and receives over TCP: the bytes of the protocols, without TCP's own headers.
// Import it before anything that opens a connection.
import net from 'node:net';

const open = new Set();
let closed = 0;
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...target) {
  if (!open.has(this)) {
    open.add(this);
    this.once('close', () => {
      open.delete(this);
      closed += this.bytesRead + this.bytesWritten;
    });
  }
  return connect.apply(this, target);
};

export const bytesSoFar = () => [...open].reduce((sum, one) => sum + one.bytesRead + one.bytesWritten, closed);
