# guest mode=long address=0x100000 bare-metal
#
# The hypervisor of hypervisor.S with two mistakes in its VMCS, which make VM entry fail in two ways: a control that is
# not allowed (VMfail), and a guest's RFLAGS that cannot be (a VM exit). It mends each when it hears of it.

        .set    BROKEN, 1
        .include "hypervisor.S"
