//! The gRPC service over the store of this member. It knows nothing of rings: requests reach it at
//! the owner.

use std::sync::Arc;

use bytes::Bytes;
use ringpop::hand_off::Map;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use super::pb;
use crate::limits::{KEY_BYTES_MAX, STORE_BYTES_MAX, STORE_ENTRIES_MAX, VALUE_BYTES_MAX};

/// Metadata that tells a full store from an overload, which has the same code.
pub(super) const STORE_FULL: &str = "kv-store-full";

/// The store takes no more.
pub(super) fn store_full(reason: &str) -> Status {
    let mut status = Status::resource_exhausted(reason);
    status.metadata_mut().insert(STORE_FULL, MetadataValue::from_static("1"));
    status
}

/// An empty store for the service.
pub(crate) fn store() -> Arc<Map> {
    Arc::new(Map::new(STORE_ENTRIES_MAX, STORE_BYTES_MAX))
}

/// The service over the store of this member.
#[derive(Debug)]
pub(crate) struct KvService {
    store: Arc<Map>,
}

impl KvService {
    /// A service over a store.
    pub(crate) const fn new(store: Arc<Map>) -> Self {
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
        match self.store.get(key.as_bytes()) {
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
        // It shares the buffer of its message: a copy makes the bytes counted those held.
        let value = Bytes::copy_from_slice(&value);
        self.store.put(key, value).map_err(|full| store_full(&full.to_string()))?;
        Ok(Response::new(pb::PutResponse {}))
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteResponse>, Status> {
        let key = request.into_inner().key;
        check_key(&key)?;
        let existed = self.store.delete(key.as_bytes());
        Ok(Response::new(pb::DeleteResponse { existed }))
    }
}

fn check_key(key: &str) -> Result<(), Status> {
    match key.len() {
        0 => Err(Status::invalid_argument("the key is empty: give at least one byte")),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(Status::invalid_argument(format!(
            "the key has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::pb::kv_server::Kv as _;
    use super::*;

    async fn put(service: &KvService, key: &str, value: &'static [u8]) -> Result<(), Status> {
        let (key, value) = (key.to_owned(), value.into());
        let reply = service.put(Request::new(pb::PutRequest { key, value })).await;
        reply.map(|_| ())
    }

    #[tokio::test]
    async fn a_full_store_is_told_from_a_bad_request() {
        let service = KvService::new(Arc::new(Map::new(1, 100)));
        assert!(put(&service, "a", b"1").await.is_ok());
        let full = put(&service, "b", b"1").await.unwrap_err();
        assert_eq!(full.code(), Code::ResourceExhausted);
        assert!(full.message().contains("delete"), "{full}");
        let bad = put(&service, "", b"1").await.unwrap_err();
        assert_eq!(bad.code(), Code::InvalidArgument);
        let large = put(&service, "a", &[0; VALUE_BYTES_MAX + 1]).await.unwrap_err();
        assert_eq!(large.code(), Code::InvalidArgument);
    }

    #[tokio::test]
    async fn what_was_put_is_there_until_it_is_deleted() {
        let service = KvService::new(store());
        put(&service, "a", b"1").await.unwrap();
        let key = || "a".to_owned();
        let get = || service.get(Request::new(pb::GetRequest { key: key() }));
        let delete = || service.delete(Request::new(pb::DeleteRequest { key: key() }));
        assert_eq!(get().await.unwrap().into_inner().value, "1");
        assert!(delete().await.unwrap().into_inner().existed);
        assert!(!delete().await.unwrap().into_inner().existed);
        assert_eq!(get().await.unwrap_err().code(), Code::NotFound);
    }
}
