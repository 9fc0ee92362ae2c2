package org.kvm4j.kvm;

import java.util.List;
import java.util.stream.IntStream;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmXcr;
import org.kvm4j.kvm.uapi.KvmXcrs;
import org.kvm4j.kvm.uapi.StructLayout;
import org.kvm4j.kvm.uapi.Uapi;

/** The extended control registers, {@code struct kvm_xcrs}. */
public final class Xcrs extends UapiStruct {

  /** How many of {@link #xcrs} count, at most 16. */
  public int nrXcrs;

  /** Must be 0. */
  public int flags;

  /** The registers; those past {@link #nrXcrs} are kept but mean nothing. */
  public final List<Xcr> xcrs =
      IntStream.range(0, Uapi.KVM_MAX_XCRS).mapToObj(i -> new Xcr()).toList();

  /** Not used; kept. */
  public final long[] padding = new long[16];

  /** None. */
  public Xcrs() {}

  /** XCR0 alone. */
  public static Xcrs ofXcr0(long value) {
    Xcrs xcrs = new Xcrs();
    xcrs.nrXcrs = 1;
    xcrs.xcrs.get(0).value = value;
    return xcrs;
  }

  /**
   * The value of XCR0.
   *
   * @throws IllegalStateException if it is not among the registers
   */
  public long xcr0() {
    for (int i = 0; i < Math.min(nrXcrs, xcrs.size()); i++) {
      if (xcrs.get(i).xcr == 0) {
        return xcrs.get(i).value;
      }
    }
    throw new IllegalStateException("no XCR0 among " + nrXcrs + " extended control registers");
  }

  @Override
  public StructLayout layout() {
    return KvmXcrs.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    nrXcrs = memory.getInt(offset + KvmXcrs.NR_XCRS);
    flags = memory.getInt(offset + KvmXcrs.FLAGS);
    for (int i = 0; i < xcrs.size(); i++) {
      xcrs.get(i).readFrom(memory, offset + KvmXcrs.XCRS + (long) i * KvmXcr.SIZEOF);
    }
    readLongs(memory, offset + KvmXcrs.PADDING, padding);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmXcrs.NR_XCRS, nrXcrs);
    memory.putInt(offset + KvmXcrs.FLAGS, flags);
    for (int i = 0; i < xcrs.size(); i++) {
      xcrs.get(i).writeTo(memory, offset + KvmXcrs.XCRS + (long) i * KvmXcr.SIZEOF);
    }
    writeLongs(memory, offset + KvmXcrs.PADDING, padding);
  }
}
