const denied = () => {
  throw new DOMException("The request was denied.", "SecurityError");
};
StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException("Denied.", "SecurityError"));
IDBFactory.prototype.open = denied;
