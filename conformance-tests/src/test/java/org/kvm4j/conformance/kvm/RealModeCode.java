package org.kvm4j.conformance.kvm;

import java.util.Arrays;

/** Pieces of 16-bit code that tests of what a guest asks the kernel for are made of. */
final class RealModeCode {
  static final int EAX = 0;
  static final int ECX = 1;
  static final int EDX = 2;
  static final int EBX = 3;
  static final int ESI = 6;

  static final int[] VMCALL = {0x0f, 0x01, 0xc1};
  static final int[] VMMCALL = {0x0f, 0x01, 0xd9};
  static final int[] RDTSC = {0x0f, 0x31};
  static final int[] WRMSR = {0x0f, 0x30};
  static final int[] STI_HLT = {0xfb, 0xf4};
  static final int[] IRET = {0xcf};
  static final int[] HLT = {0xf4};

  private RealModeCode() {}

  static int[] join(int[]... parts) {
    return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
  }

  /** MOV of 32 bits to a register. */
  static int[] mov(int register, int value) {
    return new int[] {
      0x66, 0xb8 + register, value & 0xff, value >> 8 & 0xff, value >> 16 & 0xff, value >>> 24
    };
  }

  /** MOV [address], 32-bit register. */
  static int[] store(int address, int register) {
    return new int[] {0x66, 0x89, register << 3 | 6, address & 0xff, address >> 8};
  }

  /** OUT port, AL. */
  static int[] out(int port) {
    return new int[] {0xe6, port};
  }

  /** WRMSR of a value. */
  static int[] wrmsr(int msr, long value) {
    return join(mov(ECX, msr), mov(EAX, (int) value), mov(EDX, (int) (value >> 32)), WRMSR);
  }
}
