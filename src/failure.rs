//! Why something ended: a cheap, shareable error that knows where it was made.
