//! The echo in async functions. While a connection is idle it owns no buffer: reading lends one
//! for as long as it holds bytes.

use futures_util::io::copy_buf;
use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use ropewalk::{Result, Stream};

/// Who sends a longer line is cut off.
const LONGEST: usize = 64 * 1024;

pub(crate) async fn echo(stream: Stream) -> Result {
    let (reader, mut writer) = stream.split();
    copy_buf(reader, &mut writer).await?;
    Ok(())
}

pub(crate) async fn echo_lines(mut stream: Stream) -> Result {
    let mut line = Vec::new();
    loop {
        let mut limited = (&mut stream).take(LONGEST as u64);
        match limited.read_until(b'\n', &mut line).await? {
            0 => return Ok(()),
            LONGEST if !line.ends_with(b"\n") => {
                stream.transport().abort_connection();
                return Ok(());
            }
            _ => stream.write_all(&line).await?,
        }
        line.clear();
    }
}
