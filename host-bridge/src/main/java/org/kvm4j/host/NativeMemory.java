package org.kvm4j.host;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * A view of a {@link NativeMapping}: each access checks the view's bounds, then that the mapping is
 * alive, then goes through a direct byte buffer (which checks its own).
 *
 * <p>The bulk forms go piece by piece, each checked anew, so that a copy of gigabytes neither holds
 * up the JVM's safepoints nor outlives an unmapping by long.
 */
final class NativeMemory implements UserMemory {
  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  /** Bytes that a bulk form moves between two checks. */
  private static final int PIECE = 1 << 20;

  private static final int FILL_PIECE = 1 << 13;

  private final NativeMapping mapping;

  /** Offset in the mapping. */
  private final long base;

  private final long size;

  NativeMemory(NativeMapping mapping, long base, long size) {
    this.mapping = mapping;
    this.base = base;
    this.size = size;
  }

  @Override
  public long address() {
    return mapping.address + base;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public byte getByte(long offset) {
    long at = at(offset, Byte.BYTES, NativeMapping.BARS_READ);
    try {
      return mapping.window(at).get(NativeMapping.index(at));
    } catch (InternalError e) {
      throw fault(offset, Byte.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public short getShort(long offset) {
    long at = at(offset, Short.BYTES, NativeMapping.BARS_READ);
    try {
      return mapping.window(at).getShort(NativeMapping.index(at));
    } catch (InternalError e) {
      throw fault(offset, Short.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public int getInt(long offset) {
    long at = at(offset, Integer.BYTES, NativeMapping.BARS_READ);
    try {
      return mapping.window(at).getInt(NativeMapping.index(at));
    } catch (InternalError e) {
      throw fault(offset, Integer.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public long getLong(long offset) {
    long at = at(offset, Long.BYTES, NativeMapping.BARS_READ);
    try {
      return mapping.window(at).getLong(NativeMapping.index(at));
    } catch (InternalError e) {
      throw fault(offset, Long.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public void putByte(long offset, byte value) {
    long at = at(offset, Byte.BYTES, NativeMapping.BARS_WRITE);
    try {
      mapping.window(at).put(NativeMapping.index(at), value);
    } catch (InternalError e) {
      throw fault(offset, Byte.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public void putShort(long offset, short value) {
    long at = at(offset, Short.BYTES, NativeMapping.BARS_WRITE);
    try {
      mapping.window(at).putShort(NativeMapping.index(at), value);
    } catch (InternalError e) {
      throw fault(offset, Short.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public void putInt(long offset, int value) {
    long at = at(offset, Integer.BYTES, NativeMapping.BARS_WRITE);
    try {
      mapping.window(at).putInt(NativeMapping.index(at), value);
    } catch (InternalError e) {
      throw fault(offset, Integer.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public void putLong(long offset, long value) {
    long at = at(offset, Long.BYTES, NativeMapping.BARS_WRITE);
    try {
      mapping.window(at).putLong(NativeMapping.index(at), value);
    } catch (InternalError e) {
      throw fault(offset, Long.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public int getIntAcquire(long offset) {
    long at = aligned(at(offset, Integer.BYTES, NativeMapping.BARS_READ));
    try {
      return (int) INT.getAcquire(mapping.window(at), NativeMapping.index(at));
    } catch (InternalError e) {
      throw fault(offset, Integer.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public void putIntRelease(long offset, int value) {
    long at = aligned(at(offset, Integer.BYTES, NativeMapping.BARS_WRITE));
    try {
      INT.setRelease(mapping.window(at), NativeMapping.index(at), value);
    } catch (InternalError e) {
      throw fault(offset, Integer.BYTES, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public void read(long offset, byte[] target, int targetOffset, int length) {
    checkArray(target.length, targetOffset, length);
    checkBounds(offset, length);
    int done = 0;
    while (done < length) {
      long at = at(offset + done, Math.min(length - done, PIECE), NativeMapping.BARS_READ);
      ByteBuffer window = mapping.window(at);
      int index = NativeMapping.index(at);
      int n = piece(length - done, PIECE, index);
      try {
        window.get(index, target, targetOffset + done, n);
      } catch (InternalError e) {
        throw fault(offset + done, n, e);
      } finally {
        Reference.reachabilityFence(mapping);
      }
      done += n;
    }
  }

  @Override
  public void write(long offset, byte[] source, int sourceOffset, int length) {
    checkArray(source.length, sourceOffset, length);
    checkBounds(offset, length);
    int done = 0;
    while (done < length) {
      long at = at(offset + done, Math.min(length - done, PIECE), NativeMapping.BARS_WRITE);
      int index = NativeMapping.index(at);
      int n = piece(length - done, PIECE, index);
      put(at, offset + done, source, sourceOffset + done, n);
      done += n;
    }
  }

  @Override
  public void fill(long offset, long length, byte value) {
    checkBounds(offset, length);
    byte[] pattern = new byte[(int) Math.min(length, FILL_PIECE)];
    Arrays.fill(pattern, value);
    long done = 0;
    while (done < length) {
      long at = at(offset + done, Math.min(length - done, FILL_PIECE), NativeMapping.BARS_WRITE);
      int n = piece(length - done, FILL_PIECE, NativeMapping.index(at));
      put(at, offset + done, pattern, 0, n);
      done += n;
    }
  }

  private void put(long at, long offset, byte[] source, int sourceOffset, int n) {
    try {
      mapping.window(at).put(NativeMapping.index(at), source, sourceOffset, n);
    } catch (InternalError e) {
      throw fault(offset, n, e);
    } finally {
      Reference.reachabilityFence(mapping);
    }
  }

  @Override
  public UserMemory slice(long offset, long length) {
    checkBounds(offset, length);
    return new NativeMemory(mapping, base + offset, length);
  }

  @Override
  public String toString() {
    return String.format("user memory 0x%x..0x%x", address(), address() + size);
  }

  /** The offset in the mapping of an access that is within bounds, to live memory. */
  private long at(long offset, long width, int bars) {
    if (offset < 0 || offset > size - width) {
      throw outOfBounds(offset, width);
    }
    long at = base + offset;
    if ((mapping.state & bars) != 0) {
      checkState(at, offset, width, bars);
    }
    return at;
  }

  private static int piece(long left, int most, int index) {
    return (int) Math.min(Math.min(left, most), NativeMapping.WINDOW - index);
  }

  private static long aligned(long at) {
    if ((at & (Integer.BYTES - 1)) != 0) {
      throw new IllegalArgumentException(
          String.format("offset 0x%x is not a multiple of %d", at, Integer.BYTES));
    }
    return at;
  }

  private void checkState(long at, long offset, long width, int bars) {
    if (mapping.unmapped(at, at + width)) {
      throw new IllegalStateException(describe(offset, width) + " was unmapped");
    }
    int state = mapping.state & bars;
    if ((state & NativeMapping.UNREADABLE) != 0) {
      throw new UnsupportedOperationException(
          describe(offset, width) + " is mapped without any access");
    }
    if ((state & NativeMapping.UNWRITABLE) != 0) {
      throw new UnsupportedOperationException(
          describe(offset, width) + " is mapped without PROT_WRITE");
    }
  }

  private void checkBounds(long offset, long length) {
    if (length < 0 || offset < 0 || offset > size - length) {
      throw outOfBounds(offset, length);
    }
  }

  private static void checkArray(int arrayLength, int offset, int length) {
    if (length < 0 || offset < 0 || offset > arrayLength - length) {
      throw new IndexOutOfBoundsException(
          String.format("%d bytes at %d of an array of %d", length, offset, arrayLength));
    }
  }

  private IndexOutOfBoundsException outOfBounds(long offset, long width) {
    return new IndexOutOfBoundsException(
        String.format("%d bytes at offset 0x%x of %s", width, offset, this));
  }

  /**
   * The JVM gives a bus error in its own code as an InternalError: the memory was unmapped between
   * check and access, or there is nothing behind this page of a file descriptor's mapping.
   */
  private IllegalStateException fault(long offset, long width, InternalError cause) {
    boolean unmapped = mapping.unmapped(base + offset, base + offset + width);
    return new IllegalStateException(
        describe(offset, width)
            + (unmapped ? " was unmapped meanwhile" : " has nothing behind it (bus error)"),
        cause);
  }

  private String describe(long offset, long width) {
    return String.format("0x%x (%d bytes)", address() + offset, width);
  }
}
