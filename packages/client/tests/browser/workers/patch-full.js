const write = FileSystemSyncAccessHandle.prototype.write;
const full = new BroadcastChannel("test:full");
let isFull = false;
full.onmessage = ({ data }) => {
  isFull = data;
  full.postMessage("done");
};
FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
  if (isFull) throw new DOMException("No space.", "QuotaExceededError");
  return write.call(this, bytes, options);
};
