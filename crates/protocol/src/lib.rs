//! Landfall: wire messages, codec, version negotiation. No I/O.
