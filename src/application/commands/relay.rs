//! Two streams, each of which gets what the other one says.

use crate::{ReadHalf, Result, Stream, WriteHalf};
use futures_util::AsyncWriteExt;
use futures_util::future::try_join;
use futures_util::io::copy_buf;

/// Passes on both ways, ends of one direction included, until both have ended. If one is lost, so is the
/// other, so that half a message is not taken for a whole one.
pub(super) async fn relay(near: Stream, far: Stream) -> Result {
    let end = far.transport();
    let (far_read, far_write) = far.split();
    let passed = relay_halves(near, far_read, far_write).await;
    if passed.is_err() {
        end.abort_connection();
    }
    passed
}

/// As `relay`, where the far end is two streams; whoever made them ends them.
pub(super) async fn relay_halves(near: Stream, far_read: ReadHalf, far_write: WriteHalf) -> Result {
    let end = near.transport();
    let (near_read, near_write) = near.split();
    let passed = try_join(pass(near_read, far_write), pass(far_read, near_write)).await;
    if passed.is_err() {
        end.abort_connection();
    }
    passed.map(drop)
}

async fn pass(from: ReadHalf, mut to: WriteHalf) -> Result {
    copy_buf(from, &mut to).await?;
    Ok(to.close().await?)
}
