package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmXsave;
import org.kvm4j.kvm.uapi.StructLayout;

/**
 * The XSAVE area, {@code struct kvm_xsave}: 4,096 bytes in the standard format, and more where
 * {@code KVM_CAP_XSAVE2} tells a greater size.
 *
 * <p>Source of the format: SDM volume 1, "XSAVE Area".
 */
public final class Xsave extends UapiStruct {

  /** The bytes of the area. */
  public final byte[] region;

  /** An area of 4,096 bytes, all 0. */
  public Xsave() {
    this(KvmXsave.SIZEOF);
  }

  /**
   * An area of another size, all 0.
   *
   * @param size in bytes, at least 4,096: the value of {@code KVM_CAP_XSAVE2}
   */
  public Xsave(int size) {
    if (size < KvmXsave.SIZEOF) {
      throw new IllegalArgumentException(
          "an XSAVE area has at least " + KvmXsave.SIZEOF + " bytes, not " + size);
    }
    region = new byte[size];
  }

  @Override
  public StructLayout layout() {
    return KvmXsave.LAYOUT;
  }

  @Override
  public int sizeof() {
    return region.length;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    memory.read(offset, region, 0, region.length);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.write(offset, region, 0, region.length);
  }
}
