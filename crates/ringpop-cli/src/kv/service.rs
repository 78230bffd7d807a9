//! The gRPC service over the store of this member. It knows nothing of rings: requests reach it at the owner.

use tonic::{Request, Response, Status};

use super::pb;
use super::store::Store;
use crate::limits::{KEY_BYTES_MAX, STORE_BYTES_MAX, STORE_ENTRIES_MAX, VALUE_BYTES_MAX};

/// The service over the store of this member.
#[derive(Debug)]
pub(crate) struct KvService {
    store: Store,
}

impl KvService {
    /// A service over an empty store.
    pub(crate) fn new() -> Self {
        let store = Store::new(STORE_ENTRIES_MAX, STORE_BYTES_MAX);
        Self { store }
    }
}

#[tonic::async_trait]
impl pb::kv_server::Kv for KvService {
    async fn get(
        &self,
        request: Request<pb::GetRequest>,
    ) -> Result<Response<pb::GetResponse>, Status> {
        let key = request.into_inner().key;
        check_key(&key)?;
        match self.store.get(&key) {
            Some(value) => Ok(Response::new(pb::GetResponse { value })),
            None => Err(Status::not_found("the key has no value")),
        }
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        let pb::PutRequest { key, value } = request.into_inner();
        check_key(&key)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Status::invalid_argument(format!(
                "the value has {} bytes, at most {VALUE_BYTES_MAX} are allowed",
                value.len()
            )));
        }
        self.store
            .put(key, &value)
            .map_err(|full| Status::resource_exhausted(full.to_string()))?;
        Ok(Response::new(pb::PutResponse {}))
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteResponse>, Status> {
        let key = request.into_inner().key;
        check_key(&key)?;
        let existed = self.store.delete(&key);
        Ok(Response::new(pb::DeleteResponse { existed }))
    }
}

fn check_key(key: &str) -> Result<(), Status> {
    match key.len() {
        0 => Err(Status::invalid_argument(
            "the key is empty: give at least one byte",
        )),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(Status::invalid_argument(format!(
            "the key has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed"
        ))),
    }
}
