//! Whether the advertised address leads to this process.
//!
//! A second process that advertises an address in use is refused by nobody:
//! each of the two contradicts what the other one says of itself.

use swim_core::Address;
use tokio::time::timeout;
use tonic::transport::Endpoint;

use crate::bootstrap::BootstrapError;
use crate::generated::GetStatusRequest;
use crate::generated::admin_client::AdminClient;
use crate::limits::SELF_CHECK_TIMEOUT;
use crate::security::Security;

/// Fails when another member answers at `address`. Nobody may answer there: an
/// address need not be reachable from its own machine.
pub(crate) async fn check(
    address: &Address,
    instance: u64,
    security: &Security,
) -> Result<(), BootstrapError> {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return Ok(()) };
    let mut admin = AdminClient::new(security.channel(endpoint, SELF_CHECK_TIMEOUT));
    let answer = timeout(SELF_CHECK_TIMEOUT, admin.get_status(GetStatusRequest {})).await;
    let Ok(Ok(status)) = answer else { return Ok(()) };
    let status = status.into_inner();
    if status.instance != instance && status.address == address.as_str() {
        return Err(BootstrapError::AddressTaken { address: address.clone() });
    }
    Ok(())
}
