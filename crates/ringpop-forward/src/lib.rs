//! Tower layer that handles a tonic request locally or forwards it to the owner of its key.
